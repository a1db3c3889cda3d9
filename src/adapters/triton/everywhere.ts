/** Asks every replica of Triton. */
import type { ModelContract } from '../../domain/contract.js';
import type { CallOptions, Channel } from './channel.js';
import { readModel } from './contracts.js';

/** Limit of replicas to ask. */
const MOST_REPLICAS = 100;

/**
 * Makes a call at one replica after another. Each call avoids those that have answered. It stops when one answers a second
 * time. Replicas without a connection are left out.
 * @param call makes it with the given options
 * @returns what `call` has returned for each replica
 * @throws what `call` throws
 */
export async function* atEveryReplica<T>(
  options: CallOptions,
  call: (options: CallOptions) => Promise<T>,
): AsyncGenerator<{ readonly replica: string; readonly answer: T }, void, void> {
  const asked = new Set<string>();
  while (asked.size < MOST_REPLICAS) {
    let replica = '';
    const answer = await call({ ...options, avoid: [...asked], onPeer: (peer) => (replica = peer) });
    if (asked.has(replica)) return;
    asked.add(replica);
    yield { replica, answer };
  }
}

/**
 * Reads the contract of one version at every replica.
 * @returns one contract for each replica, with this version only; undefined where the replica cannot serve it now
 * @throws the signal's reason, or ServiceError if a replica does not answer
 */
export async function readEverywhere(
  channel: Channel,
  { model, version }: { readonly model: string; readonly version: string },
  options: CallOptions,
): Promise<(ModelContract | undefined)[]> {
  const contracts: (ModelContract | undefined)[] = [];
  for await (const { answer } of atEveryReplica(options, (how) => readModel(channel, model, [version], how))) {
    contracts.push(typeof answer === 'string' ? undefined : answer);
  }
  return contracts;
}
