/**
 * Exports the backlog of the jobs subscription, under the names that Managed Prometheus gives to Cloud Monitoring's
 * metrics. The emulator has no such metrics. The exporter counts messages through subscriptions of its own.
 * `exporter.ts <port>`, in the environment of a worker.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { administer, unlessMissing } from '../../../src/adapters/pubsub/admin-calls.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import { readConfig } from '../../../src/config/index.js';
import { completionSchema } from '../../../src/domain/completion.js';
import { salvage } from '../../../src/domain/job.js';
import type { Delivery } from '../../../src/domain/ports.js';
import { undeferred } from '../../../src/worker/defer.js';
import { until } from '../until.js';
import { watchTopic } from '../../../src/adapters/pubsub/watch-topic.js';
import { createTally, type Tally } from './tally.js';

const LOOK_EVERY_MS = 250;

const config = readConfig(process.env, [
  ...(['projectId', 'pubsubEmulator', 'jobsTopic', 'jobsSubscriptions'] as const),
  ...(['completionsTopic', 'deadLetterTopic'] as const),
]);
const channel = new PubSubChannel({ projectId: config.projectId, emulator: config.pubsubEmulator });
const subscriptionId = config.jobsSubscriptions[0]?.name ?? '';
let tally = createTally();

/** The jobs topic comes last: if the exporter missed the end of a message, it would count that message for ever. */
const listeners: readonly [topic: string, (tally: Tally, delivery: Delivery) => void][] = [
  [
    config.deadLetterTopic,
    (tally, { messageId: id, data, attributes }) => {
      // A worker's own dead letter comes with a completion. Without one, Pub/Sub has given the message up.
      if (attributes.eventId === undefined) tally.ended({ id, key: keyOf(data) });
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
];

const parsed = (data: Buffer): unknown => {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    return undefined; // not a completion
  }
};

const keyOf = (data: Buffer): string => salvage(data).jobId ?? createHash('sha256').update(data).digest('hex');

/** Counts until one of its subscriptions is gone. Then the emulator was restarted and has forgotten everything. */
async function listen(): Promise<void> {
  const count = createTally();
  const exists = (topic: string) =>
    unlessMissing(`look at ${topic}`, () => administer(channel, 'GetTopic', { topic: channel.topic(topic) }));
  for (const [topic] of listeners) await until(() => exists(topic), { everyMs: LOOK_EVERY_MS });
  const watches = [];
  for (const [topic, tell] of listeners)
    watches.push(
      await watchTopic(
        channel,
        topic,
        (given) => tell(count, given),
        (error) => console.error(error),
      ),
    );
  tally = count;
  console.log(`counting the messages of ${subscriptionId}`);
  const reason = await Promise.race(watches.map(({ closed }) => closed));
  console.error(reason.message);
  tally = createTally();
  await Promise.all(watches.map((watch) => watch.stop()));
}

function render(): string {
  const { messages, oldestAgeSeconds } = tally.backlog();
  const resource = `monitored_resource="pubsub_subscription",project_id="${config.projectId}"`;
  return Object.entries({ num_undelivered_messages: messages, oldest_unacked_message_age: oldestAgeSeconds })
    .map(([metric, value]) => [`pubsub_googleapis_com:subscription_${metric}`, value] as const)
    .map(([name, value]) => `# TYPE ${name} gauge\n${name}{${resource},subscription_id="${subscriptionId}"} ${value}\n`)
    .join('');
}

createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(render());
}).listen(Number(process.argv[2]), '127.0.0.1');

for (;;) {
  await listen().catch((error: unknown) => console.error(error));
  await sleep(LOOK_EVERY_MS);
}
