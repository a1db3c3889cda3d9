/** Publishing copies of messages into the topic that feeds the worker's own subscriptions. */
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { Publisher } from '../../domain/ports.js';
import type { PubSubChannel } from './channel.js';

const LIMIT_MS = 10_000;
/**
 * Pause between two checks, in milliseconds. Pub/Sub limits administrative calls per project, and many messages share a
 * check.
 */
const APART_MS = 1_000;

/**
 * A publisher of a topic that must feed subscriptions. Pub/Sub accepts a message for a topic that nobody subscribes to,
 * and it is gone. So after each publish the subscriptions are checked, and the publish succeeds only if they are on the
 * topic. A topic that was deleted and created again feeds none of the old ones.
 * @param subscriptions names. A subscription that the worker may not read counts as fed.
 */
export function createFeedingPublisher(
  publisher: Publisher,
  channel: PubSubChannel,
  topic: string,
  subscriptions: readonly string[],
): Publisher {
  let lookedAt = -Infinity;
  let looking: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let isFed = true;

  async function look(): Promise<void> {
    lookedAt = performance.now();
    isFed = false;
    for (const name of subscriptions) await demandTopic(channel, name, topic);
    isFed = true;
  }

  /** Runs one check at a time. @returns the first check that begins after the call */
  async function lookAgain(): Promise<void> {
    await looking?.catch(() => undefined);
    const restMs = lookedAt + APART_MS - performance.now();
    if (restMs > 0) await sleep(restMs);
    next = undefined;
    looking = look();
    await looking;
  }
  const demandFed = () => (next ??= lookAgain());

  return {
    async publish(data, attributes, orderingKey) {
      // The last check failed. Publish no copy that nobody would get.
      if (!isFed) await demandFed();
      await publisher.publish(data, attributes, orderingKey);
      await demandFed();
    },
  };
}

/** @throws Error if the subscription is not one of the topic; grpc-js's ServiceError if that cannot be found out */
async function demandTopic(channel: PubSubChannel, name: string, topic: string): Promise<void> {
  const request = { subscription: channel.subscription(name) };
  const found = await channel.call('GetSubscription', request, LIMIT_MS).catch((thrown: unknown) => {
    if ((thrown as { code?: unknown }).code === status.PERMISSION_DENIED) return undefined;
    throw thrown;
  });
  if (found && found.topic !== channel.topic(topic)) throw new Error(strayed(name, found.topic, topic));
}

/** The sentence about a subscription of another topic. */
export const strayed = (name: string, found: string, topic: string): string =>
  `subscription ${name} belongs to ${found}: expected the jobs' topic ${topic}, or jobs that are put back into the queue are lost`;
