import { Command } from 'commander';
import { ensureBucket } from '../adapters/gcs/admin.js';
import { createStorageClient } from '../adapters/gcs/client.js';
import { ensureJobsSubscription, ensurePlainSubscription, ensureTopic } from '../adapters/pubsub/admin.js';
import { createPubSubClient } from '../adapters/pubsub/client.js';
import { readConfig } from '../config.js';
import { under } from '../domain/uri.js';
import type { Invocation } from './usage.js';

/** How far the subscription's own limit lies above the worker's: the worker must always be first to end a job. */
const SPARE_ATTEMPTS = 5;

interface Flags {
  readonly completionsSubscription: string[];
  readonly location?: string;
}

export function setupCommand(invocation: Invocation): Command {
  return new Command('setup')
    .description('create topics, subscriptions with their policies, and buckets; safe to run again')
    .option(
      '--completions-subscription <name>',
      'also a subscription to the completions, for a reader of yours (may be repeated)',
      (name: string, before: string[]) => [...before, name],
      [],
    )
    .option('--location <location>', 'where new buckets are made')
    .action((flags: Flags) => setUp(flags, invocation.env));
}

async function setUp(flags: Flags, env: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(env, [
    'projectId',
    'pubsubEmulator',
    'storageEmulator',
    'jobsTopic',
    'jobsSubscriptions',
    'completionsTopic',
    'deadLetterTopic',
    'deadLetterSubscription',
    'outputPrefix',
    'statePrefix',
    'uploadPrefix',
    'maxAttempts',
  ]);
  const pubsub = createPubSubClient({ projectId: config.projectId, emulator: config.pubsubEmulator });
  const storage = createStorageClient({ projectId: config.projectId, emulator: config.storageEmulator });
  const report = (kind: string, name: string, what: string) => console.log(`${kind.padEnd(12)} ${name}: ${what}`);
  try {
    for (const name of [config.jobsTopic, config.completionsTopic, config.deadLetterTopic]) {
      report('topic', name, await ensureTopic(pubsub, name));
    }
    for (const { name } of config.jobsSubscriptions) {
      const done = await ensureJobsSubscription(pubsub, name, {
        topic: config.jobsTopic,
        deadLetterTopic: config.deadLetterTopic,
        maxDeliveryAttempts: config.maxAttempts + SPARE_ATTEMPTS,
      });
      report('subscription', name, done);
    }
    const readers = [
      [config.deadLetterTopic, config.deadLetterSubscription] as const,
      ...flags.completionsSubscription.map((name) => [config.completionsTopic, name] as const),
    ];
    for (const [topic, name] of readers)
      report('subscription', name, await ensurePlainSubscription(pubsub, topic, name));

    const prefixes = [config.outputPrefix, config.statePrefix, config.uploadPrefix];
    for (const bucket of new Set(prefixes.map((prefix) => under(prefix, 'x').bucket))) {
      report('bucket', bucket, await ensureBucket(storage, bucket, flags.location));
    }
  } finally {
    await pubsub.close();
  }
}
