import type { PubSub } from '@google-cloud/pubsub';
import type { Publisher } from '../../domain/ports.js';

/** Longer than a hiccup, shorter than a lease that nobody extends. */
const PUBLISH_LIMIT_MS = 20_000;

/** A topic as a Publisher. A publish that was given up may still arrive: every publish of one outcome is the same. */
export function createPublisher(pubsub: PubSub, topicName: string): Publisher {
  const topic = pubsub.topic(topicName, { gaxOpts: { timeout: PUBLISH_LIMIT_MS } });
  return {
    async publish(data, attributes) {
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`${topicName}: not accepted in ${PUBLISH_LIMIT_MS} ms`)),
          PUBLISH_LIMIT_MS,
        );
      });
      try {
        await Promise.race([topic.publishMessage({ data, attributes: { ...attributes } }), limit]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
