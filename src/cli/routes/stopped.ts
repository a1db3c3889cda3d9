/** Which arms of the routes a guard has stopped: they get no jobs, whatever their weight says. */
import { createObjectStore } from '../../adapters/gcs/store.js';
import { readSettings } from '../../config/index.js';
import { JobError } from '../../domain/errors.js';
import type { Arm } from '../../domain/experiment.js';
import { type RoutesDocument, routesOf } from '../../domain/routes.js';
import { type ArmStop, readArmStop } from '../../records/arm-stop.js';
import { say } from '../output.js';

/** The decision on an arm, as `readArmStop` returns it. */
export type Stopped = (model: string, arm: string) => Partial<ArmStop> | undefined;

/**
 * Reads the decisions on all guarded arms. Without `IMAGEN_STATE_PREFIX`, or if storage does not answer, none is known.
 */
export async function readStops(
  env: NodeJS.ProcessEnv,
  document: RoutesDocument,
  signal: AbortSignal,
): Promise<Stopped> {
  const { statePrefix, storageEmulator } = readSettings(env, ['statePrefix', 'storageEmulator']).values;
  const arms = routesOf(document).arms.filter(({ guard }) => guard !== undefined);
  if (statePrefix === undefined || arms.length === 0) return () => undefined;
  const store = createObjectStore({ emulator: storageEmulator });
  const look = async (arm: Arm) => {
    const found = await readArmStop(store, statePrefix, arm, signal);
    return found ? [[keyOf(arm.model, arm.name), found] as const] : [];
  };
  try {
    const stops = new Map((await Promise.all(arms.map(look))).flat());
    return (model, arm) => stops.get(keyOf(model, arm));
  } catch (thrown) {
    if (!(thrown instanceof JobError)) throw thrown;
    say(`imagen: whether an arm was stopped is not known: ${thrown.message}`);
    return () => undefined;
  }
}

const keyOf = (model: string, arm: string) => `${model}/${arm}`;
