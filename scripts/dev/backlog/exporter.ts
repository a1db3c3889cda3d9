/**
 * Tells the backlog of the jobs subscription, which the emulator does not, under Managed Prometheus' names for Cloud
 * Monitoring's metrics. It has subscriptions of its own. `exporter.ts <port>`, in the environment of a worker.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPubSubClient } from '../../../src/adapters/pubsub/client.js';
import { createJobSource } from '../../../src/adapters/pubsub/source.js';
import { readConfig } from '../../../src/config/index.js';
import { completionSchema } from '../../../src/domain/completion.js';
import { salvageJobId } from '../../../src/domain/job.js';
import type { Delivery } from '../../../src/domain/ports.js';
import { undeferred } from '../../../src/worker/defer.js';
import { createTally, type Tally } from './tally.js';

const LOOK_EVERY_MS = 250;
const STOP_MS = 2_000;
const MESSAGES_AT_ONCE = 1_000;

const config = readConfig(process.env, [
  ...(['projectId', 'pubsubEmulator', 'jobsTopic', 'jobsSubscriptions'] as const),
  ...(['completionsTopic', 'deadLetterTopic'] as const),
]);
const pubsub = createPubSubClient({ projectId: config.projectId, emulator: config.pubsubEmulator });
const subscriptionId = config.jobsSubscriptions[0]?.name ?? '';
let tally = createTally();

const listeners: readonly [topic: string, (tally: Tally, delivery: Delivery) => void][] = [
  [
    config.jobsTopic,
    (tally, given) => {
      const { messageId: id, data, attributes, publishedAt } = given;
      tally.published({
        ...{ id, key: keyOf(data), publishedAtMs: publishedAt.getTime() },
        firstId: undeferred(given).messageId,
        deferrals: Number(attributes.deferrals ?? 0) || 0,
      });
    },
  ],
  [
    config.completionsTopic,
    (tally, { messageId: id, data }) => {
      const completion = completionSchema.safeParse(parsed(data)).data;
      if (completion) tally.ended({ id, key: completion.jobId, firstId: completion.messageId });
    },
  ],
  [
    config.deadLetterTopic,
    (tally, { messageId: id, data, attributes }) => {
      // A worker's own dead letter comes with a completion. Without one, Pub/Sub has given the message up.
      if (attributes.eventId === undefined) tally.ended({ id, key: keyOf(data) });
    },
  ],
];

const parsed = (data: Buffer): unknown => {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    return undefined; // somebody else's, and no end of anything
  }
};

const keyOf = (data: Buffer): string => salvageJobId(data) ?? createHash('sha256').update(data).digest('hex');

/** Until one of the subscriptions is no more: the emulator was started anew, and has forgotten everything. */
async function listen(): Promise<void> {
  const count = createTally();
  const names = listeners.map(([topic]) => `backlog-of-${topic}`);
  for (const [topic] of listeners) while (!(await pubsub.topic(topic).exists())[0]) await sleep(LOOK_EVERY_MS);
  // That of the jobs last: an end that nobody has heard of would leave its message here for ever.
  for (const [index, [topic]] of [...listeners.entries()].reverse()) {
    await pubsub
      .topic(topic)
      .subscription(names[index] ?? '')
      .get({ autoCreate: true });
  }
  const sources = names.map((name) =>
    createJobSource(pubsub, name, {
      ...{ maxMessages: MESSAGES_AT_ONCE, maxExtensionSeconds: 60 },
      onError: (error) => console.error(error),
    }),
  );
  for (const [index, [, tell]] of listeners.entries()) {
    sources[index]?.start((delivery) => {
      tell(count, delivery);
      return Promise.resolve('ack');
    });
  }
  tally = count;
  console.log(`counting the messages of ${subscriptionId}`);
  const reason = await Promise.race(sources.map(({ closed }) => closed));
  console.error(reason.message);
  tally = createTally();
  await Promise.all(sources.map((source) => source.stop(STOP_MS)));
}

function render(): string {
  const { messages, oldestAgeSeconds } = tally.backlog();
  const labels = Object.entries({
    ...{ monitored_resource: 'pubsub_subscription', project_id: config.projectId, subscription_id: subscriptionId },
  }).map(([name, value]) => `${name}="${value}"`);
  return Object.entries({
    num_undelivered_messages: messages,
    oldest_unacked_message_age: oldestAgeSeconds,
  })
    .map(([metric, value]) => [`pubsub_googleapis_com:subscription_${metric}`, value] as const)
    .map(([name, value]) => `# TYPE ${name} gauge\n${name}{${labels.join()}} ${value}\n`)
    .join('');
}

const port = Number(process.argv[2]);
createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(render());
}).listen(port, '127.0.0.1');

for (;;) {
  await listen().catch((error: unknown) => console.error(error));
  await sleep(LOOK_EVERY_MS);
}
