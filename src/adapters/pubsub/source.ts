import { setMaxListeners } from 'node:events';
import {
  Duration,
  type Message,
  type PubSub,
  type Subscription,
  SubscriptionCloseBehaviors,
  type SubscriptionOptions,
} from '@google-cloud/pubsub';
import { GivenBack } from '../../domain/errors.js';
import type { Delivery, JobSource, Settlement } from '../../domain/ports.js';
import { contextIn, happened, inSpan, SpanKind } from '../../tracing/spans.js';
import { ACK_DEADLINE_SECONDS } from './admin.js';
import { pingIntervalOf } from './client.js';
import { createLeases, type LeaseEvents } from './leases.js';
import { keepPace } from './pace.js';

export interface SourceOptions {
  /**
   * How many messages to request from the server at a time. It keeps the number near this value but is no cap; the caller
   * has its own.
   */
  readonly maxMessages: number;
  /** Longest time for which the lease of a job is extended, in seconds. */
  readonly maxExtensionSeconds: number;
  /** Receives unexpected errors of the handler. */
  readonly onError: (error: unknown) => void;
  readonly onLease?: LeaseEvents;
}

/** Prefixes of the attributes that carry a message's trace: W3C's own names, and those of Google's clients. */
const TRACE_PREFIXES = ['', 'googclient_'];

/** Time at the end of the stop limit, in milliseconds, to give back the messages of handlers that are still running. */
const LAST_NACKS_MS = 1_000;

/**
 * One subscription as a JobSource. It extends the lease of every message until its handler has answered. If the server sends
 * more than `maxMessages`, the client dispatches them all, and the handler must queue them.
 */
export function createJobSource(pubsub: PubSub, subscriptionName: string, options: SourceOptions): JobSource {
  const leases = createLeases(ACK_DEADLINE_SECONDS, options.onLease ?? {});
  const clientOptions = clientOptionsOf(options, leases);
  const subscription = pubsub.subscription(subscriptionName, clientOptions);
  keepPace(subscription, ACK_DEADLINE_SECONDS);
  const running = new Set<Promise<void>>();
  const cap = new AbortController();
  setMaxListeners(0, cap.signal); // every job in work listens
  let stopping: Promise<void> | undefined;
  let talking: NodeJS.Timeout | undefined;

  let reportClosed: (reason: Error) => void = () => undefined;
  const closed = new Promise<Error>((resolve) => (reportClosed = resolve));

  /**
   * Runs in a span below the publisher's, even if other workers had the message before. So all spans of a job form one tree.
   */
  function deliver(message: Message, handle: Parameters<JobSource['start']>[0]): Promise<void> {
    const parent = contextIn(message.attributes, TRACE_PREFIXES);
    const about = { kind: SpanKind.CONSUMER, parent, attributes: () => attributesOf(message, subscriptionName) };
    return inSpan(`process ${subscriptionName}`, about, () => settle(message, handle));
  }

  async function settle(message: Message, handle: Parameters<JobSource['start']>[0]): Promise<void> {
    let settlement: Settlement = 'nack';
    leases.begin(message.ackId);
    try {
      settlement = await handle(toDelivery(message), cap.signal);
    } catch (error) {
      options.onError(error);
    }
    leases.end(message.ackId);
    if (settlement === 'ack') message.ack();
    else message.nack();
    happened(settlement);
  }

  async function stop(capMs: number): Promise<void> {
    clearInterval(talking);
    // Closing ends the stream at once. In this mode the client extends leases until its inventory is empty. All options are
    // passed again: it resets missing ones, and would then extend leases by ten minutes.
    subscription.setOptions({
      ...clientOptions,
      closeOptions: {
        behavior: SubscriptionCloseBehaviors.WaitForProcessing,
        timeout: Duration.from({ milliseconds: Math.max(capMs, LAST_NACKS_MS) }),
      },
    });
    const closing = subscription.close().catch(options.onError);
    const timers = [
      setTimeout(() => cap.abort(new GivenBack('the worker is stopping')), Math.max(0, capMs - LAST_NACKS_MS)),
    ];
    const hardCap = new Promise((resolve) => timers.push(setTimeout(resolve, capMs)));
    // The client's close sometimes hangs, so it gets only the time that is left.
    await Promise.race([Promise.all([...running, closing]), hardCap]);
    timers.forEach(clearTimeout);
  }

  return {
    closed,
    start(handle) {
      subscription.on('error', (error) => reportClosed(explain(error, subscriptionName)));
      subscription.on('close', () => {
        if (!stopping) reportClosed(new Error(`subscription ${subscriptionName} closed`));
      });
      subscription.on('message', (message: Message) => {
        const work = deliver(message, handle).finally(() => running.delete(work));
        running.add(work);
      });
      if (pubsub.isEmulator) talking = keepTalking(subscription, pingIntervalOf(pubsub) / 2);
    },
    stop: (capMs) => (stopping ??= stop(capMs)),
  };
}

function clientOptionsOf(
  { maxMessages, maxExtensionSeconds }: SourceOptions,
  { interceptor }: Pick<ReturnType<typeof createLeases>, 'interceptor'>,
): SubscriptionOptions {
  return {
    // Each stream would request the full maxMessages.
    streamingOptions: { maxStreams: 1 },
    flowControl: { maxMessages, maxBytes: 1024 ** 3, allowExcessMessages: true },
    // By default the client raises its deadline to ten minutes, and the jobs of a killed worker would wait that long.
    minAckDeadline: Duration.from({ seconds: ACK_DEADLINE_SECONDS }),
    maxAckDeadline: Duration.from({ seconds: ACK_DEADLINE_SECONDS }),
    maxExtensionTime: Duration.from({ seconds: maxExtensionSeconds }),
    batching: { callOptions: { otherArgs: { options: { interceptors: [interceptor] } } } },
  };
}

/**
 * Keeps the emulator's connection busy. The emulator (0.8.20) closes a connection at the third ping if it had nothing to
 * send between the pings. It then keeps messages for a stream that no longer exists. Answering any request counts as
 * sending.
 */
function keepTalking(subscription: Subscription, everyMs: number): NodeJS.Timeout {
  let asking = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    // Any answer will do: the stream itself reports the state of the subscription.
    await subscription.getMetadata().catch(() => undefined);
    asking = false;
  };
  return setInterval(() => void ask(), everyMs).unref();
}

/** gRPC's code for a resource that does not exist. */
const NOT_FOUND = 5;

function explain(error: Error, subscription: string): Error {
  if ((error as { code?: unknown }).code !== NOT_FOUND) return error;
  return new Error(`subscription ${subscription} does not exist: run "imagen setup" first`, { cause: error });
}

function attributesOf(message: Message, subscription: string) {
  return {
    'messaging.system': 'gcp_pubsub',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.subscription.name': subscription,
    'messaging.message.id': message.id,
    'messaging.message.body.size': message.length,
    'messaging.gcp_pubsub.message.delivery_attempt': message.deliveryAttempt,
    'imagen.queued_ms': Math.max(0, Date.now() - message.publishTime.getTime()),
  };
}

function toDelivery(message: Message): Delivery {
  return {
    messageId: message.id,
    data: message.data,
    attributes: message.attributes,
    attempt: message.deliveryAttempt,
    publishedAt: message.publishTime,
    ...(message.orderingKey ? { orderingKey: message.orderingKey } : {}),
  };
}
