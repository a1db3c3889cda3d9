import type { Subscription } from '@google-cloud/pubsub';
import type { Subscriber } from '@google-cloud/pubsub/build/src/subscriber.js';
import { expect, it } from 'vitest';
import { ACK_DEADLINE_SECONDS } from '../../../src/adapters/pubsub/admin.js';
import { createPubSubClient } from '../../../src/adapters/pubsub/client.js';
import { createJobSource } from '../../../src/adapters/pubsub/source.js';

/** A source, and the client's part that decides by how much leases are extended. */
function setUp() {
  const pubsub = createPubSubClient({ projectId: 'p', emulator: '127.0.0.1:9' });
  const subscriptions: Subscription[] = [];
  const subscription = pubsub.subscription.bind(pubsub);
  pubsub.subscription = (...given) => {
    const one = subscription(...given);
    subscriptions.push(one);
    return one;
  };
  const source = createJobSource(pubsub, 's', {
    maxMessages: 3,
    maxExtensionSeconds: 60,
    onError: (error) => expect.fail(String(error)),
  });
  const { _subscriber: subscriber } = subscriptions[0] as unknown as { readonly _subscriber: Subscriber };
  return { source, subscriber };
}

it('extends leases by the same seconds while it stops as before, however long jobs take', async () => {
  const { source, subscriber } = setUp();
  const before = { messages: subscriber.maxMessages, most: subscriber.maxExtensionTime.seconds };
  for (let i = 0; i < 100; i++) subscriber.updateAckDeadline(300);
  expect(subscriber.ackDeadline).toBe(ACK_DEADLINE_SECONDS);
  await source.stop(2_000);
  for (let i = 0; i < 100; i++) subscriber.updateAckDeadline(300);
  expect(subscriber.ackDeadline).toBe(ACK_DEADLINE_SECONDS);
  expect(before).toEqual({ messages: 3, most: 60 });
  expect(subscriber.maxMessages).toBe(3);
  expect(subscriber.maxExtensionTime.seconds).toBe(60);
});
