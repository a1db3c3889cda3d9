import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { expect, inject, it } from 'vitest';
import { createPubSub } from '../../scripts/lab/google-clients.js';
import { PUBSUBS } from '../support/pubsubs.js';
import { until } from '../support/scene.js';

const MESSAGES = 20;
const GONE = 5;
/** Well before the 10 s after which a message that went astray would come again. */
const AT_ONCE_MS = 5_000;

/** Says so when it gets a message, and keeps it. */
const SUBSCRIBER = `
  import { PubSub } from '@google-cloud/pubsub';
  const [emulator, projectId, name] = process.argv.slice(1);
  const pubsub = new PubSub({ projectId, apiEndpoint: emulator, emulatorMode: true });
  pubsub.subscription(name).on('message', () => console.log('got it'));
`;

it.concurrent.each(PUBSUBS)('$name sends nothing to subscribers that were killed', async ({ host: emulator }) => {
  const { env, marker } = inject('stack');
  const projectId = env.GOOGLE_CLOUD_PROJECT;
  const name = `gone-${randomBytes(4).toString('hex')}`;
  const pubsub = createPubSub({ projectId, emulator });
  const [topic] = await pubsub.createTopic(name);
  const [subscription] = await topic.createSubscription(name);
  for (let i = 0; i < GONE; i++) {
    const args = ['--input-type=module', '--eval', SUBSCRIBER, emulator, projectId, name];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...marker },
    });
    await topic.publishMessage({ data: Buffer.from('for whoever is there') });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const wanted = new Set<string>();
  for (let i = 0; i < MESSAGES; i++) wanted.add(await topic.publishMessage({ data: Buffer.from(String(i)) }));
  subscription.on('message', (message) => {
    wanted.delete(message.id);
    message.ack();
  });
  await until(
    () => wanted.size === 0,
    AT_ONCE_MS,
    () => `${wanted.size} of ${MESSAGES} messages went astray`,
  );
  expect(wanted.size).toBe(0);
  await subscription.close();
  await pubsub.close();
});
