import type { PubSub } from '@google-cloud/pubsub';
import type { Publisher } from '../../domain/ports.js';
import { within } from '../within.js';

/** Longer than it takes to notice a dead connection (PUBLISHING in client.ts) and to try again on a new one. */
const PUBLISH_LIMIT_MS = 20_000;

/**
 * A topic as a Publisher. A publish that was given up may still arrive: every publish of one outcome is the same.
 * @param limitMs of one publish, retries of the client included, in milliseconds
 */
export function createPublisher(pubsub: PubSub, topicName: string, limitMs = PUBLISH_LIMIT_MS): Publisher {
  // Left alone, the client would go on for ten minutes with what nobody waits for any more.
  const backoffSettings = {
    initialRetryDelayMillis: 100,
    retryDelayMultiplier: 2,
    maxRetryDelayMillis: 2_000,
    initialRpcTimeoutMillis: limitMs,
    rpcTimeoutMultiplier: 1,
    maxRpcTimeoutMillis: limitMs,
    totalTimeoutMillis: limitMs,
  };
  const topic = pubsub.topic(topicName, { gaxOpts: { retry: { backoffSettings } } });
  return {
    async publish(data, attributes) {
      const accepted = () => topic.publishMessage({ data, attributes: { ...attributes } });
      await within(limitMs, `publish to ${topicName}`, accepted);
    },
  };
}
