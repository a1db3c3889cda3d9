/** A topic, read through a temporary subscription: no message is taken from another reader. */
import { randomBytes } from 'node:crypto';
import type { Delivery } from '../../domain/ports.js';
import { ACK_DEADLINE_SECONDS } from './admin.js';
import { TEMPORARY } from './admin-calls.js';
import type { PubSubChannel } from './channel.js';
import { createJobSource } from './source.js';

/** Pub/Sub deletes the subscription after a day without use, the shortest time that it permits, if nobody else does. */
const EXPIRES_SECONDS = 86_400;
/** The shortest that Pub/Sub permits. */
const KEEPS_SECONDS = 600;
const CREATE_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 2_000;

export interface TopicWatch {
  /** Resolves with the reason when no more messages can come. */
  readonly closed: Promise<Error>;
  /** Stops, and deletes the subscription. It settles within seconds, also if Pub/Sub is gone. */
  stop(): Promise<void>;
}

/**
 * Resolves when everything that is published from now on will come. Each message is acked when `onMessage` has returned.
 * @throws grpc-js's ServiceError if there is no such topic, or it may not be subscribed
 */
export async function watchTopic(
  channel: PubSubChannel,
  topic: string,
  onMessage: (delivery: Delivery) => void,
  onError: (error: unknown) => void,
): Promise<TopicWatch> {
  const name = `${TEMPORARY}${randomBytes(6).toString('hex')}`;
  const subscription = channel.subscription(name);
  await channel.call(
    'CreateSubscription',
    {
      ...{ name: subscription, topic: channel.topic(topic), ackDeadlineSeconds: ACK_DEADLINE_SECONDS },
      messageRetentionDuration: { seconds: KEEPS_SECONDS },
      expirationPolicy: { ttl: { seconds: EXPIRES_SECONDS } },
    },
    CREATE_LIMIT_MS,
  );
  const source = createJobSource(channel, name, { maxMessages: 1_000, maxExtensionSeconds: 60, onError });
  source.start((delivery) => {
    onMessage(delivery);
    return Promise.resolve('ack');
  });
  return {
    closed: source.closed,
    async stop() {
      await source.stop(STOP_LIMIT_MS);
      await channel.call('DeleteSubscription', { subscription }, STOP_LIMIT_MS).catch(() => undefined);
    },
  };
}
