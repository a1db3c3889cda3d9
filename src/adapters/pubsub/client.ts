import { PubSub } from '@google-cloud/pubsub';

export interface PubSubConnection {
  readonly projectId: string;
  /** `host:port` of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
  /** `PULLING` when absent. */
  readonly pings?: Pings;
}

/**
 * HTTP/2 pings, sent while a call is in flight. Only pings detect within minutes a connection that has died without being
 * closed (a machine or a network is gone). All calls on it then fail as unavailable. The client opens a new connection and
 * starts the calls again, including the message stream.
 */
export interface Pings {
  /** Ping interval, in milliseconds. If a server reports that pings are too frequent, grpc-js doubles it. */
  readonly everyMs: number;
  /** Time limit for the answer to a ping, in milliseconds. */
  readonly answerMs: number;
}

/** A message stream is always in flight. So a dead connection is detected within 40 s, and a live one carries few pings. */
export const PULLING: Pings = { everyMs: 30_000, answerMs: 10_000 };
/** A publish normally takes milliseconds. A stuck one gets a new connection while it still has time to use it. */
export const PUBLISHING: Pings = { everyMs: 5_000, answerMs: 5_000 };

/** Creates a client for calls with the same pings. The caller closes it. */
export function createPubSubClient({ projectId, emulator, pings = PULLING }: PubSubConnection): PubSub {
  const options = {
    projectId,
    'grpc.keepalive_time_ms': pings.everyMs,
    'grpc.keepalive_timeout_ms': pings.answerMs,
    // Calls must notice the end of an outage soon. The default is two minutes.
    'grpc.max_reconnect_backoff_ms': 2_000,
  };
  if (emulator === undefined) return new PubSub(options);
  return new PubSub({
    ...options,
    apiEndpoint: emulator,
    emulatorMode: true,
    // Without it the client asks the metadata server, which does not exist here, for its cloud.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}

/** Ping interval of a client, in milliseconds. */
export function pingIntervalOf(pubsub: PubSub): number {
  return (
    (pubsub.options as { readonly 'grpc.keepalive_time_ms'?: number })['grpc.keepalive_time_ms'] ?? PULLING.everyMs
  );
}
