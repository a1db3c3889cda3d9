import { PubSub } from '@google-cloud/pubsub';

export interface PubSubConnection {
  readonly projectId: string;
  /** `host:port` of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
  /** `PULLING` when absent. */
  readonly pings?: Pings;
}

/**
 * HTTP/2 pings, sent while a call is under way. A connection that has died without being closed (a machine or a network
 * is gone) is noticed by nothing else for many minutes. All calls on it then fail as unavailable, and the client makes
 * a new connection and begins them again, the stream of messages included.
 */
export interface Pings {
  /** Between two, in milliseconds. A server that finds them too frequent says so, and grpc-js doubles it. */
  readonly everyMs: number;
  /** How long an answer may take, in milliseconds. */
  readonly answerMs: number;
}

/** A stream of messages is always under way: dead ones are noticed within 40 s, and live ones see few pings. */
export const PULLING: Pings = { everyMs: 30_000, answerMs: 10_000 };
/** A publish is over in a moment. One that is not gets a new connection while it still has time to use it. */
export const PUBLISHING: Pings = { everyMs: 5_000, answerMs: 5_000 };

/** One client for what has the same pings; whoever creates it closes it. */
export function createPubSubClient({ projectId, emulator, pings = PULLING }: PubSubConnection): PubSub {
  const options = {
    projectId,
    'grpc.keepalive_time_ms': pings.everyMs,
    'grpc.keepalive_timeout_ms': pings.answerMs,
    // After an outage no call waits long for its end to be noticed; the default is two minutes.
    'grpc.max_reconnect_backoff_ms': 2_000,
  };
  if (emulator === undefined) return new PubSub(options);
  return new PubSub({
    ...options,
    apiEndpoint: emulator,
    emulatorMode: true,
    // Without it the client asks the metadata server of a cloud that is not there which cloud it is in.
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}

/** How often a client pings, in milliseconds. */
export function pingIntervalOf(pubsub: PubSub): number {
  return (
    (pubsub.options as { readonly 'grpc.keepalive_time_ms'?: number })['grpc.keepalive_time_ms'] ?? PULLING.everyMs
  );
}
