import { PubSub } from '@google-cloud/pubsub';

export interface PubSubConnection {
  readonly projectId: string;
  /** `host:port` of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

/** One client for the process; whoever creates it closes it. */
export function createPubSubClient({ projectId, emulator }: PubSubConnection): PubSub {
  return new PubSub({ projectId, ...(emulator === undefined ? {} : { apiEndpoint: emulator, emulatorMode: true }) });
}
