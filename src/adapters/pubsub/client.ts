import { PubSub } from '@google-cloud/pubsub';

export interface PubSubConnection {
  readonly projectId: string;
  /** `host:port` of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

/** One client for the process; whoever creates it closes it. */
export function createPubSubClient({ projectId, emulator }: PubSubConnection): PubSub {
  if (emulator === undefined) return new PubSub({ projectId });
  return new PubSub({
    projectId,
    apiEndpoint: emulator,
    emulatorMode: true,
    // Without it the client asks the metadata server of a cloud that is not there which cloud it is in.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}
