import { randomBytes } from 'node:crypto';
import { inject, expect, it } from 'vitest';
import { createPubSubClient } from '../../src/adapters/pubsub/client.js';
import { until } from '../support/scene.js';

const MESSAGES = 20;
/** Well before the 10 s after which a message that went astray would come again. */
const AT_ONCE_MS = 5_000;

it("the stack's Pub/Sub emulator sends nothing to subscribers that are gone", async () => {
  const { env } = inject('stack');
  const connect = () => createPubSubClient({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.PUBSUB_EMULATOR_HOST });
  const name = `gone-${randomBytes(4).toString('hex')}`;
  const pubsub = connect();
  const [topic] = await pubsub.createTopic(name);
  await topic.createSubscription(name);
  const subscribe = (client: ReturnType<typeof connect>) => {
    const seen: string[] = [];
    const subscription = client.subscription(name).on('message', (message) => {
      seen.push(message.id);
      message.ack();
    });
    return { seen, close: () => subscription.close() };
  };
  for (let i = 0; i < 5; i++) {
    const client = connect();
    const { seen, close } = subscribe(client);
    await topic.publishMessage({ data: Buffer.from('for whoever is there') });
    await until(() => seen.length === 1, AT_ONCE_MS);
    await close();
    await client.close();
  }
  const { seen, close } = subscribe(pubsub);
  for (let i = 0; i < MESSAGES; i++) await topic.publishMessage({ data: Buffer.from(String(i)) });
  await until(
    () => seen.length === MESSAGES,
    AT_ONCE_MS,
    () => `${seen.length} of ${MESSAGES} messages`,
  );
  expect(new Set(seen).size).toBe(MESSAGES);
  await close();
  await pubsub.close();
});
