import { status } from '@grpc/grpc-js';
import { NotPublishable, type Publisher } from '../../domain/ports.js';
import { addAttributes, inSpan, SpanKind, traceHeaders } from '../../tracing/spans.js';
import { NoAnswer } from '../within.js';
import type { PubSubChannel } from './channel.js';
import { codeOf, untilAnswered } from './retrying.js';
import type { PublishRequest } from './wire.js';

/** Pub/Sub's limit on the attributes of a message. */
const MOST_ATTRIBUTES = 100;

/**
 * Time limit for one publish, in milliseconds. It is long enough to notice a dead connection (PUBLISHING in channel.ts) and
 * to retry on a new one.
 */
const PUBLISH_LIMIT_MS = 20_000;

/** Below the service's limits of 1,000 messages and 10 MB a request. */
const MOST_MESSAGES = 500;
const MOST_BYTES = 5_000_000;
/** Requests at a time. While so many are on their way, messages gather for the next one. */
const MOST_REQUESTS = 4;

type Outgoing = PublishRequest['messages'][number];

interface Waiting {
  readonly message: Outgoing;
  readonly bytes: number;
  /** By `performance.now()`. */
  readonly endsAt: number;
  readonly accepted: (messageId: string) => void;
  readonly refused: (error: unknown) => void;
}

/**
 * A topic as a Publisher. A publish that has timed out may still arrive. That is harmless, since every publish of one
 * outcome is the same.
 * @param limitMs of one publish with its retries, in milliseconds
 */
export function createPublisher(channel: PubSubChannel, topicName: string, limitMs = PUBLISH_LIMIT_MS): Publisher {
  const requests = new PublishRequests(channel, topicName);
  /** The last publish of each ordering key. The next one of the key waits for it. */
  const lastOfKey = new Map<string, Promise<unknown>>();

  async function inTurn(message: Outgoing): Promise<string> {
    const key = message.orderingKey;
    if (key === '') return requests.send(message, limitMs);
    const before = lastOfKey.get(key);
    const sent = Promise.allSettled([before]).then(() => requests.send(message, limitMs));
    lastOfKey.set(key, sent);
    try {
      return await sent;
    } finally {
      if (lastOfKey.get(key) === sent) lastOfKey.delete(key);
    }
  }

  const about = (data: Buffer) => () => ({
    'messaging.system': 'gcp_pubsub',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': topicName,
    'messaging.message.body.size': data.length,
  });
  return {
    async publish(data, attributes, orderingKey = '') {
      await inSpan(`send ${topicName}`, { kind: SpanKind.PRODUCER, attributes: about(data) }, async () => {
        const id = await inTurn({ data, attributes: inTrace(attributes), orderingKey });
        addAttributes(() => ({ 'messaging.message.id': id }));
      });
    },
  };
}

/** Collects messages into requests. */
class PublishRequests {
  readonly #channel: PubSubChannel;
  readonly #topicName: string;
  readonly #waiting: Waiting[] = [];
  #inFlight = 0;
  #scheduled = false;

  constructor(channel: PubSubChannel, topicName: string) {
    this.#channel = channel;
    this.#topicName = topicName;
  }

  /**
   * @returns the id that the service gave the message
   * @throws NotPublishable; NoAnswer if no request was free within the limit; grpc-js's ServiceError
   */
  send(message: Outgoing, limitMs: number): Promise<string> {
    const attributes = Object.entries(message.attributes).flat().join('');
    const bytes = message.data.length + Buffer.byteLength(attributes) + message.orderingKey.length;
    return new Promise((accepted, refused) => {
      this.#waiting.push({ message, bytes, endsAt: performance.now() + limitMs, accepted, refused });
      this.#schedule();
    });
  }

  /** Sends at the end of this turn of the event loop, so that messages published together go together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#waiting.length > 0 && this.#inFlight < MOST_REQUESTS) void this.#sendSome();
    });
  }

  async #sendSome(): Promise<void> {
    this.#inFlight++;
    await this.#request(this.#take());
    this.#inFlight--;
    if (this.#waiting.length > 0) this.#schedule();
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const one of this.#waiting) {
      bytes += one.bytes;
      if (count > 0 && (bytes > MOST_BYTES || count === MOST_MESSAGES)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Settles every message of the request. */
  async #request(batch: readonly Waiting[]): Promise<void> {
    const now = performance.now();
    for (const late of batch.filter(({ endsAt }) => endsAt <= now)) {
      late.refused(new NoAnswer(`publish to ${this.#topicName}: earlier publishes have no answer yet`));
    }
    const alive = batch.filter(({ endsAt }) => endsAt > now);
    const [first] = alive;
    if (!first) return;
    const request = { topic: this.#channel.topic(this.#topicName), messages: alive.map(({ message }) => message) };
    try {
      const { messageIds } = await untilAnswered((ms) => this.#channel.call('Publish', request, ms), first.endsAt);
      alive.forEach(({ accepted }, i) => accepted(messageIds[i] ?? ''));
    } catch (error) {
      // One invalid message makes the service refuse the whole request.
      const invalid = codeOf(error) === status.INVALID_ARGUMENT;
      if (invalid && alive.length > 1) await Promise.all(alive.map((one) => this.#request([one])));
      else for (const { refused } of alive) refused(invalid ? notPublishable(error, this.#topicName) : error);
    }
  }
}

function notPublishable(error: unknown, topicName: string): NotPublishable {
  return new NotPublishable(`publish to ${topicName}: ${(error as Error).message}`, { cause: error });
}

/** Adds the active trace for the reader of the message, unless the message already carries one, as a copy may. */
function inTrace(attributes: Readonly<Record<string, string>>): Record<string, string> {
  if ('traceparent' in attributes) return { ...attributes };
  const headers = traceHeaders();
  const count = Object.keys(attributes).length + Object.keys(headers).length;
  return count > MOST_ATTRIBUTES ? { ...attributes } : { ...attributes, ...headers };
}
