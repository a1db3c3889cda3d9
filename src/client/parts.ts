/** What the client's functions share. Each part is opened when it is first needed. */
import { createObjectStore } from '../adapters/gcs/store.js';
import type { ObjectStore, Publisher } from '../domain/ports.js';
import { anyOf } from '../domain/signals.js';
import { retryingStore } from '../pipeline/retry.js';
import { type Arrivals, createArrivals } from './arrivals.js';
import { ClientError } from './errors.js';
import type { ClientSettings } from './options.js';

export interface Parts {
  readonly settings: ClientSettings;
  /** Retries each call while storage is unavailable, for up to 30 s. */
  readonly store: ObjectStore;
  /** One attempt per call, for what is only worth a look. */
  readonly singleTryStore: ObjectStore;
  /**
   * Resolves when Pub/Sub has accepted the message. Messages that are published at the same time travel together.
   * @throws ClientError
   */
  publish(data: Buffer, attributes: Readonly<Record<string, string>>, orderingKey?: string): Promise<void>;
  readonly arrivals: Arrivals;
  /** Runs work that ends, with `CLOSED`, when the client is closed, and with the signal's reason when it fires. */
  run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** The same for what is iterated: its signal, which must be released at the end. */
  until(signal: AbortSignal | undefined): { readonly signal: AbortSignal; release(): void };
  close(): Promise<void>;
}

const RETRY = { unavailableMs: 30_000, failedAttempts: 3 };

interface Connection {
  readonly topic: Publisher;
  close(): void;
}

export function createParts(settings: ClientSettings): Parts {
  const closing = new AbortController();
  let stores: { readonly store: ObjectStore; readonly singleTryStore: ObjectStore } | undefined;
  let connection: Promise<Connection> | undefined;

  function openStores() {
    const singleTryStore = createObjectStore({ emulator: settings.storageEmulator });
    return (stores ??= { singleTryStore, store: retryingStore(singleTryStore, RETRY) });
  }

  const arrivals = createArrivals(settings, (thrown) => describe(thrown, settings, settings.completionsTopic, 'read'));
  const until: Parts['until'] = (signal) => anyOf(signal ? [closing.signal, signal] : [closing.signal]);

  return {
    settings,
    until,
    arrivals,
    get store() {
      return openStores().store;
    },
    get singleTryStore() {
      return openStores().singleTryStore;
    },
    async publish(data, attributes, orderingKey) {
      const { topic } = await (connection ??= connect(settings));
      await topic.publish(data, attributes, orderingKey).catch((thrown: unknown) => {
        throw describe(thrown, settings, settings.jobsTopic, 'publish to');
      });
    },
    async run(signal, work) {
      const both = until(signal);
      try {
        both.signal.throwIfAborted();
        return await work(both.signal);
      } finally {
        both.release();
      }
    },
    async close() {
      closing.abort(new ClientError('CLOSED', 'the client was closed'));
      await arrivals.close();
      const opened = await connection?.catch(() => undefined);
      connection = undefined;
      opened?.close();
    },
  };
}

/** gRPC takes a while to load, so it is loaded only to publish. */
async function connect({ projectId, pubsubEmulator, jobsTopic }: ClientSettings): Promise<Connection> {
  const [{ PubSubChannel, PUBLISHING }, { createPublisher }] = await Promise.all([
    import('../adapters/pubsub/channel.js'),
    import('../adapters/pubsub/publisher.js'),
  ]);
  const channel = new PubSubChannel({ projectId, emulator: pubsubEmulator, pings: PUBLISHING });
  return { topic: createPublisher(channel, jobsTopic), close: () => channel.close() };
}

/** gRPC's codes of the errors that a caller can do something about. */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;

function describe(
  thrown: unknown,
  { projectId, pubsubEmulator }: ClientSettings,
  name: string,
  doing: 'publish to' | 'read',
): ClientError {
  const { code, message = String(thrown) } = thrown as { code?: unknown; message?: string };
  const topic = `topic ${name} of project ${projectId}`;
  const options = { cause: thrown };
  if (code === NOT_FOUND) {
    return new ClientError('TOPIC_NOT_FOUND', `there is no ${topic}: create it with \`imagen setup\``, options);
  }
  if (code === PERMISSION_DENIED || code === UNAUTHENTICATED) {
    return new ClientError('PUBSUB_DENIED', `may not ${doing} ${topic}: ${message}`, options);
  }
  const where = pubsubEmulator === undefined ? '' : ` at the emulator ${pubsubEmulator}`;
  return new ClientError('PUBSUB_UNAVAILABLE', `cannot ${doing} ${topic}${where}: ${message}`, options);
}
