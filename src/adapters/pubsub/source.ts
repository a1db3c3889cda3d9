import { setMaxListeners } from 'node:events';
import { status } from '@grpc/grpc-js';
import { GivenBack } from '../../domain/errors.js';
import type { Delivery, JobSource, Settlement } from '../../domain/ports.js';
import { addEvent, contextIn, inSpan, SpanKind } from '../../tracing/spans.js';
import { ACK_DEADLINE_SECONDS } from './admin.js';
import type { PubSubChannel } from './channel.js';
import { type LeaseEvents, Leases } from './leases.js';
import { MessageStream } from './message-stream.js';
import { codeOf } from './retrying.js';
import { Settlements } from './settlements.js';
import type { PubsubMessage, ReceivedMessage, Timestamp } from './wire.js';

export interface SourceOptions {
  /**
   * How many messages to request from the server at a time. It keeps the number near this value but is no cap; the caller
   * has its own.
   */
  readonly maxMessages: number;
  /** Longest time for which the lease of a job is extended, in seconds. */
  readonly maxExtensionSeconds: number;
  /** Receives unexpected errors of the handler, and those of acks that were given up. */
  readonly onError: (error: unknown) => void;
  readonly onLease?: LeaseEvents;
}

type Handle = Parameters<JobSource['start']>[0];

/** Prefixes of the attributes that carry a message's trace: W3C's own names, and those of Google's clients. */
const TRACE_PREFIXES = ['', 'googclient_'];

/** Time at the end of the stop limit, in milliseconds, to give back the messages of handlers that are still running. */
const LAST_NACKS_MS = 1_000;
const MOST_BYTES = 1024 ** 3;

/**
 * One subscription as a JobSource. It extends the lease of every message until its handler has answered. If the server sends
 * more than `maxMessages`, the source hands them all on, and the handler must queue them.
 */
export function createJobSource(channel: PubSubChannel, subscriptionName: string, options: SourceOptions): JobSource {
  return new StreamingSource(channel, subscriptionName, options);
}

class StreamingSource implements JobSource {
  readonly closed: Promise<Error>;
  readonly #channel: PubSubChannel;
  readonly #name: string;
  readonly #options: SourceOptions;
  readonly #leases: Leases;
  readonly #settlements: Settlements;
  readonly #stream: MessageStream;
  readonly #running = new Set<Promise<void>>();
  readonly #cap = new AbortController();
  #handle: Handle | undefined;
  #talking: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  constructor(channel: PubSubChannel, name: string, options: SourceOptions) {
    const { maxMessages, maxExtensionSeconds: longestSeconds, onLease, onError } = options;
    const subscription = channel.subscription(name);
    let broken: (error: Error) => void = () => undefined;
    this.closed = new Promise((resolve) => (broken = (error) => resolve(explain(error, name))));
    this.#channel = channel;
    this.#name = name;
    this.#options = options;
    this.#leases = new Leases(channel, { ...onLease, subscription, seconds: ACK_DEADLINE_SECONDS, longestSeconds });
    this.#settlements = new Settlements(channel, { subscription, onError });
    this.#stream = new MessageStream(channel, {
      ...{ subscription, leaseSeconds: ACK_DEADLINE_SECONDS, maxMessages, maxBytes: MOST_BYTES },
      onMessages: (messages) => this.#received(messages),
      onBroken: broken,
    });
    setMaxListeners(0, this.#cap.signal); // every job in work listens
  }

  start(handle: Handle): void {
    if (this.#stopping) return;
    this.#handle = handle;
    this.#leases.start();
    this.#stream.start();
    if (this.#channel.isEmulator) this.#talking = keepTalking(this.#channel, this.#name);
  }

  stop(capMs: number): Promise<void> {
    return (this.#stopping ??= this.#stop(capMs));
  }

  async #stop(capMs: number): Promise<void> {
    clearInterval(this.#talking);
    this.#stream.stop();
    const timers = [
      setTimeout(() => this.#cap.abort(new GivenBack('the worker is stopping')), Math.max(0, capMs - LAST_NACKS_MS)),
    ];
    const hardCap = new Promise((resolve) => timers.push(setTimeout(resolve, capMs)));
    const settled = Promise.all(this.#running).then(() => this.#settlements.flush());
    await Promise.race([settled, hardCap]);
    timers.forEach(clearTimeout);
    this.#leases.stop();
  }

  #received(messages: readonly ReceivedMessage[]): void {
    for (const { ackId, message, deliveryAttempt } of messages) {
      if (!message) continue;
      this.#leases.begin(ackId);
      const work = this.#deliver(ackId, toDelivery(message, deliveryAttempt)).finally(() => this.#running.delete(work));
      this.#running.add(work);
    }
  }

  /**
   * Runs in a span below the publisher's, even if other workers had the message before. So all spans of a job form one tree.
   */
  #deliver(ackId: string, delivery: Delivery): Promise<void> {
    const parent = contextIn(delivery.attributes, TRACE_PREFIXES);
    const about = { kind: SpanKind.CONSUMER, parent, attributes: () => attributesOf(delivery, this.#name) };
    return inSpan(`process ${this.#name}`, about, () => this.#settle(ackId, delivery));
  }

  async #settle(ackId: string, delivery: Delivery): Promise<void> {
    let settlement: Settlement = 'nack';
    try {
      if (this.#handle) settlement = await this.#handle(delivery, this.#cap.signal);
    } catch (error) {
      this.#options.onError(error);
    }
    this.#leases.end(ackId);
    this.#settlements.add(settlement, ackId);
    addEvent(settlement);
  }
}

/**
 * Keeps the emulator's connection busy. The emulator (0.8.20) closes a connection at the third ping if it had nothing to
 * send between the pings. It then keeps messages for a stream that no longer exists. Answering any request counts as
 * sending.
 */
function keepTalking(channel: PubSubChannel, name: string): NodeJS.Timeout {
  const everyMs = channel.pings.everyMs / 2;
  let asking = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    // Any answer will do: the stream itself reports the state of the subscription.
    const request = { subscription: channel.subscription(name) };
    await channel.call('GetSubscription', request, everyMs).catch(() => undefined);
    asking = false;
  };
  return setInterval(() => void ask(), everyMs).unref();
}

function explain(error: Error, subscription: string): Error {
  if (codeOf(error) !== status.NOT_FOUND) return error;
  return new Error(`subscription ${subscription} does not exist: run "imagen setup" first`, { cause: error });
}

function attributesOf({ messageId, data, attempt, publishedAt }: Delivery, subscription: string) {
  return {
    'messaging.system': 'gcp_pubsub',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.subscription.name': subscription,
    'messaging.message.id': messageId,
    'messaging.message.body.size': data.length,
    'messaging.gcp_pubsub.message.delivery_attempt': attempt,
    'imagen.queued_ms': Math.max(0, Date.now() - publishedAt.getTime()),
  };
}

export function toDelivery(message: PubsubMessage, attempt: number): Delivery {
  const { messageId, data, attributes, publishTime, orderingKey } = message;
  return {
    ...{ messageId, data, attributes, attempt },
    publishedAt: dateOf(publishTime),
    ...(orderingKey === '' ? {} : { orderingKey }),
  };
}

function dateOf(time: Timestamp | null): Date {
  return time ? new Date(time.seconds * 1000 + time.nanos / 1e6) : new Date();
}
