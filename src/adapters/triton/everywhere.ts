/** Reads the contract of one version at every replica. */
import type { ModelContract } from '../../domain/contract.js';
import type { CallOptions, Channel } from './channel.js';
import { readModel } from './contracts.js';

/** Limit of replicas to ask. */
const MOST_REPLICAS = 100;

/**
 * Asks one replica after another. Each call avoids those that have answered. It stops when one answers a second time.
 * Replicas without a connection are left out.
 * @returns one contract for each replica, with this version only; undefined where the replica cannot serve it now
 * @throws the signal's reason, or ServiceError if a replica does not answer
 */
export async function readEverywhere(
  channel: Channel,
  { model, version }: { readonly model: string; readonly version: string },
  options: CallOptions,
): Promise<(ModelContract | undefined)[]> {
  const contracts = new Map<string, ModelContract | undefined>();
  while (contracts.size < MOST_REPLICAS) {
    let replica = '';
    const how = { ...options, avoid: [...contracts.keys()], onPeer: (peer: string) => (replica = peer) };
    const contract = await readModel(channel, model, [version], how);
    if (contracts.has(replica)) break;
    contracts.set(replica, typeof contract === 'string' ? undefined : contract);
  }
  return [...contracts.values()];
}
