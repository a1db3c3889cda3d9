/** Which arms of the routes a guard has stopped: they get no jobs, whatever their weight says. */
import { createObjectStore } from '../../adapters/gcs/store.js';
import { readSettings } from '../../config/index.js';
import { JobError } from '../../domain/errors.js';
import type { Arm } from '../../domain/experiment.js';
import { type RoutesDocument, routesOf } from '../../domain/routes.js';
import { type ArmStop, armStopRef, decodeArmStop } from '../../records/arm-stop.js';
import { say } from '../output.js';

/** Size limit of a decision, in bytes. */
const MAX_BYTES = 4_096;

/** The decision on an arm; undefined if none is known. Its content may be missing, if it cannot be read. */
export type Stopped = (model: string, arm: string) => Partial<ArmStop> | undefined;

/** Reads the decisions on all guarded arms. It knows of none without `IMAGEN_STATE_PREFIX`, or if storage does not answer. */
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
    const found = await store.read(armStopRef(statePrefix, arm), { maxBytes: MAX_BYTES, signal });
    if (found.kind === 'missing') return [];
    return [[keyOf(arm.model, arm.name), found.kind === 'found' ? readable(found.bytes) : {}] as const];
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

/** Its existence counts, even if its content cannot be read. */
function readable(bytes: Buffer): Partial<ArmStop> {
  try {
    return decodeArmStop(bytes);
  } catch {
    return {};
  }
}
