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
  /** How many messages to ask the server for at a time; no cap (the caller has its own), but what keeps it near one. */
  readonly maxMessages: number;
  /** How long a job may take at the most before its lease is no longer extended, in seconds. */
  readonly maxExtensionSeconds: number;
  /** Where a handler's unexpected error goes. */
  readonly onError: (error: unknown) => void;
  readonly onLease?: LeaseEvents;
}

/** Under which names a message brings its trace: W3C's own, else those that Google's clients give them. */
const TRACE_PREFIXES = ['', 'googclient_'];

/** What is kept of the cap for giving back the messages of handlers that were still running, in milliseconds. */
const LAST_NACKS_MS = 1_000;

/**
 * One subscription as a JobSource. It extends the lease of every message until its handler has answered. The client
 * dispatches more messages than `maxMessages` when the server sends more; the handler must queue them itself.
 */
export function createJobSource(pubsub: PubSub, subscriptionName: string, options: SourceOptions): JobSource {
  const leases = createLeases(ACK_DEADLINE_SECONDS, options.onLease ?? {});
  const clientOptions: SubscriptionOptions = {
    // Each stream would ask for the full maxMessages again.
    streamingOptions: { maxStreams: 1 },
    flowControl: { maxMessages: options.maxMessages, maxBytes: 1024 ** 3, allowExcessMessages: true },
    // Left alone, the client raises its deadline to ten minutes, and that is how long the jobs of a killed worker wait.
    minAckDeadline: Duration.from({ seconds: ACK_DEADLINE_SECONDS }),
    maxAckDeadline: Duration.from({ seconds: ACK_DEADLINE_SECONDS }),
    maxExtensionTime: Duration.from({ seconds: options.maxExtensionSeconds }),
    batching: { callOptions: { otherArgs: { options: { interceptors: [leases.interceptor] } } } },
  };
  const subscription = pubsub.subscription(subscriptionName, clientOptions);
  keepPace(subscription, ACK_DEADLINE_SECONDS);
  const running = new Set<Promise<void>>();
  const cap = new AbortController();
  setMaxListeners(0, cap.signal); // every job in work listens
  let stopping: Promise<void> | undefined;
  let talking: NodeJS.Timeout | undefined;

  let reportClosed: (reason: Error) => void = () => undefined;
  const closed = new Promise<Error>((resolve) => (reportClosed = resolve));

  /** In a span below the publisher's, whoever else has had the message before: all that happens to a job is one tree. */
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
    // Closing ends the stream at once; in this mode the client goes on extending leases until its inventory is empty.
    // All options anew: it forgets those that it is not given, and would then extend leases by ten minutes.
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
    // The client's close has been seen to hang, so it is given the time left and no more.
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

/**
 * The emulator (0.8.20) closes a connection on the third ping between which it had nothing to say, and then keeps
 * messages for a stream that is no longer there. An answer to anything is something to say.
 */
function keepTalking(subscription: Subscription, everyMs: number): NodeJS.Timeout {
  let asking = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    // Whatever it answers: how the subscription fares is the stream's to tell.
    await subscription.getMetadata().catch(() => undefined);
    asking = false;
  };
  return setInterval(() => void ask(), everyMs).unref();
}

/** gRPC's code for something that is not there. */
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
