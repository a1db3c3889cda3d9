import { PubSub } from '@google-cloud/pubsub';
import type { PubSubConnection } from './channel.js';

/**
 * Creates Google's client, for administration: topics, subscriptions, policies. It takes half a second to load, so only
 * commands that change or list them import it. The caller closes it.
 */
export function createAdminClient({ projectId, emulator }: Omit<PubSubConnection, 'pings'>): PubSub {
  if (emulator === undefined) return new PubSub({ projectId });
  return new PubSub({
    projectId,
    apiEndpoint: emulator,
    emulatorMode: true,
    // Without it the client asks the metadata server, which does not exist here, for its cloud.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}
