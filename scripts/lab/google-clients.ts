/** Google's own clients, which do not share the faults of our adapters. */
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';

/** @param emulator `host:port`. The caller closes it. */
export function createPubSub({ projectId, emulator }: { projectId: string; emulator: string }): PubSub {
  return new PubSub({
    projectId,
    apiEndpoint: emulator,
    emulatorMode: true,
    // Without it the client asks the metadata server, which does not exist here, for its cloud.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}

/** @param emulator base address */
export function createStorage({ projectId, emulator }: { projectId: string; emulator: string }): Storage {
  const storage = new Storage({ projectId, retryOptions: { autoRetry: false }, apiEndpoint: emulator });
  // If STORAGE_EMULATOR_HOST is also in the environment, the client uses it as the whole base address.
  storage.baseUrl = `${emulator}/storage/v1`;
  return storage;
}
