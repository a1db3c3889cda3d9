/** The repository calls of Triton at single replicas: what is ready there, load, unload. Operators use them. */
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CallOptions, Channel } from './channel.js';
import { isCallFailure } from './errors.js';
import type { ModelIndex } from './wire.js';

/** Header with the key of the restricted protocols, as in triton/entrypoint.sh. */
export const ADMIN_HEADER = 'triton-grpc-protocol-imagen-admin';
/** Time limit for one control call other than a load, in milliseconds. */
export const CALL_MS = 10_000;
/** grpc-js's default. */
const DEFAULT_PORT = 443;
const POLL_MS = 200;

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
 * Works at one replica, with the key of its restricted protocols.
 * @returns what `work` returns; the error of a call that failed
 * @throws the signal's reason
 */
export async function atReplica<T extends object>(
  replica: string,
  key: string | undefined,
  work: (channel: Channel) => Promise<T>,
): Promise<T | { readonly error: string }> {
  const channel = new Channel(replica, key === undefined ? {} : { [ADMIN_HEADER]: key });
  try {
    return await work(channel);
  } catch (error) {
    if (!isCallFailure(error)) throw error;
    const refused = error.details.includes('restricted');
    const hint = refused ? 'TRITON_ADMIN_KEY does not open the repository of this server: ' : '';
    return { error: `${hint}${error.details}` };
  } finally {
    channel.close();
  }
}

/** @returns the error if the server's index does not have the model */
export function unknownModel(model: string, index: readonly ModelIndex[]): string | undefined {
  const known = [...new Set(index.map(({ name }) => name))].sort();
  return known.includes(model) ? undefined : `model ${model}: expected one of ${known.join(', ') || 'none'}`;
}

/** Versions that a replica serves now, by model. */
export interface ReplicaState {
  readonly replica: string;
  readonly versions: readonly string[];
}
export interface ReplicaFailed {
  readonly replica: string;
  readonly error: string;
}

/** The versions of a model that are ready at each replica. @throws Error if the name does not resolve */
export async function versionsAt(
  url: string,
  model: string,
  signal: AbortSignal,
): Promise<(ReplicaState | ReplicaFailed)[]> {
  const look = async (replica: string) => {
    const found = await atReplica(replica, undefined, async (channel) => {
      return { versions: await readyVersions(channel, model, { signal, deadlineMs: CALL_MS }) };
    });
    return { replica, ...found };
  };
  return Promise.all((await replicasOf(url)).map(look));
}

/** The statistics list what is ready, also a model whose folder is gone, and need no key. */
async function readyVersions(channel: Channel, model: string, options: CallOptions): Promise<string[]> {
  const { modelStats } = await channel.call('ModelStatistics', { name: '', version: '' }, options);
  const versions = modelStats.filter(({ name }) => name === model).map(({ version }) => version);
  return versions.sort((a, b) => Number(a) - Number(b));
}

export interface Order {
  readonly url: string;
  readonly model: string;
  readonly key: string;
  /** For all replicas together, in milliseconds. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Loads the model at every replica, all at once, and waits until each serves it. Versions that are served stay so meanwhile.
 * @param version the version to wait for; any where absent
 * @param onReplica called as soon as a replica serves it, or cannot
 */
export function loadModel(
  order: Order & { readonly version?: string | undefined },
  onReplica: (done: ReplicaState | ReplicaFailed) => void = () => undefined,
): Promise<(ReplicaState | ReplicaFailed)[]> {
  const { model, version } = order;
  return everywhere(order, onReplica, async (channel, untilMs) => {
    const options = (): CallOptions => ({ signal: order.signal, deadlineMs: Math.max(1, untilMs - performance.now()) });
    await channel.call('RepositoryModelLoad', { modelName: model }, options());
    for (;;) {
      const versions = await readyVersions(channel, model, options());
      if (version === undefined ? versions.length > 0 : versions.includes(version)) return { versions };
      const { models } = await channel.call('RepositoryIndex', { ready: false }, options());
      const mine = models.filter((one) => one.name === model && (version === undefined || one.version === version));
      if (!mine.some(({ state }) => state === 'LOADING' || state === 'UNLOADING')) {
        return { error: notServed(version, versions, mine) };
      }
      await sleep(POLL_MS, undefined, { signal: order.signal });
    }
  });
}

function notServed(version: string | undefined, served: readonly string[], index: readonly ModelIndex[]): string {
  const reasons = index
    .filter(({ reason }) => reason !== '' && reason !== 'unloaded') // it was served once, and nothing failed
    .map(({ version: of, reason }) => `version ${of}: ${reason}`);
  if (reasons.length > 0) return reasons.join('; ');
  return `serves ${served.join(', ') || 'no version'}: expected ${version ?? 'a version'}, which is not in its repository or not in version_policy`;
}

/** Unloads the model at every replica, all at once, and waits until none serves it. */
export function unloadModel(
  order: Order,
  onReplica: (done: ReplicaState | ReplicaFailed) => void = () => undefined,
): Promise<(ReplicaState | ReplicaFailed)[]> {
  const { model } = order;
  return everywhere(order, onReplica, async (channel, untilMs) => {
    const options = (): CallOptions => ({ signal: order.signal, deadlineMs: Math.max(1, untilMs - performance.now()) });
    const { models } = await channel.call('RepositoryIndex', { ready: false }, options());
    const versions = await readyVersions(channel, model, options());
    const stranger = versions.length > 0 ? undefined : unknownModel(model, models);
    if (stranger !== undefined) return { error: stranger };
    await channel.call('RepositoryModelUnload', { modelName: model }, options());
    while ((await readyVersions(channel, model, options())).length > 0) {
      await sleep(POLL_MS, undefined, { signal: order.signal });
    }
    return { versions: [] };
  });
}

async function everywhere(
  { url, key, waitMs }: Order,
  onReplica: (done: ReplicaState | ReplicaFailed) => void,
  work: (channel: Channel, untilMs: number) => Promise<{ versions: string[] } | { error: string }>,
): Promise<(ReplicaState | ReplicaFailed)[]> {
  const untilMs = performance.now() + waitMs;
  const one = async (replica: string) => {
    const outcome = await atReplica(replica, key, (channel) => work(channel, untilMs));
    const late = 'error' in outcome && /deadline exceeded/i.test(outcome.error);
    const done = { replica, ...(late ? { error: `not done within ${Math.round(waitMs / 1000)} s` } : outcome) };
    onReplica(done);
    return done;
  };
  return Promise.all((await replicasOf(url)).map(one));
}
