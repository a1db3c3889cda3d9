/** What may be published, how much of it counts, and what a message is once it is a dead letter. */
import type { PublishRequest, PubsubMessage, Timestamp } from '../../../src/adapters/pubsub/wire.js';
import { invalid } from './refusal.js';

export type NewMessage = PublishRequest['messages'][number];

/** https://cloud.google.com/pubsub/quotas#resource_limits */
const MOST = { requestBytes: 10_000_000, messages: 1000, attributes: 100, key: 256, value: 1024, orderingKey: 1024 };

/** @throws Refusal INVALID_ARGUMENT for a request that the service refuses as a whole */
export function checkMessages(messages: readonly NewMessage[]): void {
  const within = (name: string, value: number, most: number) => {
    if (value > most)
      throw invalid(`The value for ${name} is too large. You passed ${value}, but the maximum value is ${most}.`);
  };
  if (messages.length === 0) throw invalid('The value for message_count is too small. The minimum value is 1.');
  within('message_count', messages.length, MOST.messages);
  const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
  within('request_size', bytes, MOST.requestBytes);
  for (const { data, attributes, orderingKey } of messages) {
    const pairs = Object.entries(attributes);
    if (data.length === 0 && pairs.length === 0) {
      throw invalid('A message is empty. Each must contain either non-empty data or at least one attribute.');
    }
    within('attribute_count', pairs.length, MOST.attributes);
    within('ordering_key', Buffer.byteLength(orderingKey), MOST.orderingKey);
    for (const [key, value] of pairs) {
      if (key === '' || key.startsWith('goog')) throw invalid(`The attribute key '${key}' is empty or reserved.`);
      within('attribute_key_size', Buffer.byteLength(key), MOST.key);
      within('attribute_value_size', Buffer.byteLength(value), MOST.value);
    }
  }
}

/** In bytes: data, attributes and ordering key. */
export function sizeOf({ data, attributes, orderingKey }: NewMessage): number {
  const texts = [orderingKey, ...Object.entries(attributes).flat()];
  return data.length + texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** The copy for the dead-letter topic. @param subscription whole name of the one that gives the message up */
export function deadLetterOf(message: PubsubMessage, subscription: string, attempts: number): NewMessage {
  const [, project = '', , id = ''] = subscription.split('/');
  return {
    data: message.data,
    orderingKey: message.orderingKey,
    attributes: {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
      CloudPubSubDeadLetterSourceSubscription: id,
      CloudPubSubDeadLetterSourceSubscriptionProject: project,
      CloudPubSubDeadLetterSourceTopicPublishTime: toText(message.publishTime),
    },
  };
}

export const toTimestamp = (ms: number): Timestamp => ({
  seconds: Math.floor(ms / 1000),
  nanos: (ms % 1000) * 1_000_000,
});

/** `2026-01-31T08:00:00.123+00:00` */
function toText(time: Timestamp | null): string {
  const ms = time ? time.seconds * 1000 + time.nanos / 1_000_000 : 0;
  return new Date(ms).toISOString().replace('Z', '+00:00');
}
