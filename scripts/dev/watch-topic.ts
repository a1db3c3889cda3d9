/** A topic, read through a subscription of our own: nobody's messages are taken away. */
import { randomBytes } from 'node:crypto';
import type { PubSub } from '@google-cloud/pubsub';
import type { PubSubChannel } from '../../src/adapters/pubsub/channel.js';
import { createJobSource } from '../../src/adapters/pubsub/source.js';
import { within } from '../../src/adapters/within.js';
import type { Delivery } from '../../src/domain/ports.js';

/** Should nobody delete a subscription, Pub/Sub does after a day, the shortest time that it permits. */
const EXPIRES_SECONDS = 86_400;
const KEEPS_SECONDS = 600;
const LIMIT_MS = 2_000;

export interface Watching {
  /** Makes and deletes the subscription. */
  readonly pubsub: PubSub;
  readonly channel: PubSubChannel;
}

/** Resolves when everything that is published from now on will come. */
export async function watchTopic(
  { pubsub, channel }: Watching,
  topic: string,
  onMessage: (delivery: Delivery) => void,
) {
  const name = `watch-${randomBytes(6).toString('hex')}`;
  await pubsub.topic(topic).createSubscription(name, {
    expirationPolicy: { ttl: { seconds: EXPIRES_SECONDS } },
    messageRetentionDuration: { seconds: KEEPS_SECONDS },
  });
  const onError = (error: unknown) => console.error(error);
  const source = createJobSource(channel, name, { maxMessages: 1000, maxExtensionSeconds: 60, onError });
  source.start((delivery) => {
    onMessage(delivery);
    return Promise.resolve('ack');
  });
  return {
    /** Settles when no more messages can come, with the reason. */
    closed: source.closed,
    async stop(): Promise<void> {
      await source.stop(LIMIT_MS);
      // With the stack, Pub/Sub may be gone already, and its subscriptions with it.
      await within(LIMIT_MS, `delete ${name}`, () => pubsub.subscription(name).delete()).catch(() => undefined);
    },
  };
}
