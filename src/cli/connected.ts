import { type Client, createClient } from '../client/client.js';
import { settingsFrom } from '../client/options.js';
import { reachStorage } from './reach.js';
import type { Invocation } from './usage.js';

/**
 * Runs work with the publisher's library, once it is known that records can be read.
 * @throws ConfigError; CommandFailed within seconds if storage is away or the bucket of the records is missing
 */
export async function connected<T>({ env }: Invocation, work: (client: Client) => Promise<T>): Promise<T> {
  const { storageEmulator, statePrefix } = settingsFrom({ env });
  await reachStorage({ storageEmulator }, 'IMAGEN_STATE_PREFIX', statePrefix);
  const client = createClient({ env });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
