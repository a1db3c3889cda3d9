/** Restarts a model's processes at every replica, one after another. Operators use it as a remedy. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions } from './channel.js';
import { atReplica, CALL_MS, replicasOf, unknownModel } from './replica-control.js';

/** Long enough for every worker that uses the model to notice: replicas.ts. */
const UNLOADED_MS = 2_000;
/** Loading a large network takes minutes. */
const LOAD_MS = 600_000;

export type Reloaded =
  | { readonly replica: string; readonly reloaded: true; readonly seconds: number }
  | { readonly replica: string; readonly reloaded: false; readonly error: string };

/**
 * Unloads the model and loads it again, replica by replica. It stops at the first replica that fails, and the other replicas
 * keep what they have.
 * @param onReplica called after each replica
 * @returns the result for each replica that was tried
 */
export async function reloadModel(
  url: string,
  model: string,
  key: string,
  signal: AbortSignal,
  onReplica: (done: Reloaded) => void = () => undefined,
): Promise<Reloaded[]> {
  const done: Reloaded[] = [];
  for (const replica of await replicasOf(url)) {
    const outcome = await reloadAt(replica, model, key, signal);
    done.push(outcome);
    onReplica(outcome);
    if (!outcome.reloaded) break;
  }
  return done;
}

async function reloadAt(replica: string, model: string, key: string, signal: AbortSignal): Promise<Reloaded> {
  const done = await atReplica(replica, key, async (channel): Promise<{ error: string } | { seconds: number }> => {
    const options: CallOptions = { signal, deadlineMs: CALL_MS };
    const { models } = await channel.call('RepositoryIndex', { ready: false }, options);
    const stranger = unknownModel(model, models);
    if (stranger !== undefined) return { error: stranger };
    await channel.call('RepositoryModelUnload', { modelName: model }, options);
    await sleep(UNLOADED_MS, undefined, { signal });
    const begunAt = performance.now();
    await channel.call('RepositoryModelLoad', { modelName: model }, { signal, deadlineMs: LOAD_MS });
    return { seconds: Math.round((performance.now() - begunAt) / 100) / 10 };
  });
  return 'error' in done ? { replica, reloaded: false, error: done.error } : { replica, reloaded: true, ...done };
}
