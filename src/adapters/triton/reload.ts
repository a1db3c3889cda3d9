/** Restarts a model's processes at every replica, one after another. Operators use it as a remedy. */
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CallOptions, Channel } from './channel.js';
import { isCallFailure } from './errors.js';

/** Header with the key of the restricted protocols, as in triton/entrypoint.sh. */
export const ADMIN_HEADER = 'triton-grpc-protocol-imagen-admin';
/** Long enough for every worker that uses the model to notice: replicas.ts. */
const UNLOADED_MS = 2_000;
const CALL_MS = 10_000;
/** grpc-js's default. */
const DEFAULT_PORT = 443;
/** Loading a large network takes minutes. */
const LOAD_MS = 600_000;

export type Reloaded =
  | { readonly replica: string; readonly reloaded: true; readonly seconds: number }
  | { readonly replica: string; readonly reloaded: false; readonly error: string };

/**
 * The address of each replica behind a URL in the form of `TRITON_URL`.
 * @throws Error if the name does not resolve
 */
export async function replicasOf(url: string): Promise<string[]> {
  const list = /^(ipv[46]):(.*)$/.exec(url);
  if (list) return (list[2] ?? '').split(',').map((address) => `${list[1] ?? ''}:${address}`);
  if (/^(?!dns:)[a-z0-9-]+:(?!\d+$)/.test(url)) return [url]; // a socket, or a scheme with its own list
  const target = url.replace(/^dns:(?:\/\/[^/]*\/)?/, '');
  const [, host = target, port = String(DEFAULT_PORT)] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(target) ?? [];
  const addresses = await lookup(host, { all: true });
  return addresses.map(({ address, family }) =>
    family === 6 ? `ipv6:[${address}]:${port}` : `ipv4:${address}:${port}`,
  );
}

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
  const channel = new Channel(replica, { [ADMIN_HEADER]: key });
  const options: CallOptions = { signal, deadlineMs: CALL_MS };
  try {
    const { models } = await channel.call('RepositoryIndex', { ready: false }, options);
    const known = [...new Set(models.map(({ name }) => name))].sort();
    if (!known.includes(model)) {
      return { replica, reloaded: false, error: `model ${model}: expected one of ${known.join(', ') || 'none'}` };
    }
    await channel.call('RepositoryModelUnload', { modelName: model }, options);
    await sleep(UNLOADED_MS, undefined, { signal });
    const begunAt = performance.now();
    await channel.call('RepositoryModelLoad', { modelName: model }, { signal, deadlineMs: LOAD_MS });
    return { replica, reloaded: true, seconds: Math.round((performance.now() - begunAt) / 100) / 10 };
  } catch (error) {
    if (!isCallFailure(error)) throw error;
    const refused = error.details.includes('restricted');
    const hint = refused ? 'TRITON_ADMIN_KEY does not open the repository of this server: ' : '';
    return { replica, reloaded: false, error: `${hint}${error.details}` };
  } finally {
    channel.close();
  }
}
