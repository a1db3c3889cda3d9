import { Command } from 'commander';
import { planBucket } from '../adapters/gcs/admin.js';
import { connectAdmin } from '../adapters/gcs/admin-api.js';
import { planNotification } from '../adapters/gcs/notifications.js';
import { type SetupStep, StepFailed } from '../adapters/setup-step.js';
import {
  planCompletionsSubscription,
  planJobsSubscription,
  planPlainSubscription,
  planTopic,
} from '../adapters/pubsub/admin.js';
import { subscriptionsOf, TEMPORARY } from '../adapters/pubsub/admin-calls.js';
import { PubSubChannel, PUBLISHING } from '../adapters/pubsub/channel.js';
import { takenByNone, takenTwice } from '../adapters/pubsub/inspect.js';
import { readConfig } from '../config/index.js';
import { wantedNotification } from './notify.js';
import { operationOption } from './operations.js';
import { reachPubSub, reachStorage } from './reach.js';
import { completionsOptions, wantedCompletions } from './setup/completions.js';
import {
  deadLettersRetention,
  DEFAULT_DAYS,
  type SetupConfig,
  type SetupFlags,
  SETTINGS_READ,
  wantedBuckets,
  wantedPolicies,
  wantedSubscriptions,
} from './setup/wanted.js';
import { oneLine, print, printJson, printText, say } from './output.js';
import { type Invocation, withHelp } from './usage.js';

/** Exit code of a dry run that would change something. It differs from failure (1) and wrong call (2). */
const WOULD_CHANGE = 3;

export function setupCommand(invocation: Invocation): Command {
  const command = new Command('setup')
    .option('--dry-run', `show what would change, and change nothing; exit ${WOULD_CHANGE} if something would`)
    .option('--per-model <model,…>', 'a filtered subscription for each of these models, and one for the rest')
    .option('--per-tenant <tenant,…>', 'a filtered subscription for each of these tenants, and one for the rest')
    .option('--per-priority', 'two filtered subscriptions: interactive and the rest')
    .option(
      '--allow-overlap',
      'permit that two subscriptions deliver the same job, to move from old subscriptions to new ones',
    )
    .option('--location <location>', 'location of new buckets')
    .option(
      '--state-days <days>',
      `delete records after this many days, or never (${DEFAULT_DAYS}, or more if necessary)`,
    )
    .option('--upload-days <days>', `delete uploads after this many days, or never (${DEFAULT_DAYS})`)
    .option('--shadow-days <days>', `delete results of shadows after this many days, or never (${DEFAULT_DAYS})`)
    .option(
      '--results-days <days>',
      'delete results after this many days, or never; by default their rule stays as it is',
    )
    .option('--notify <gs://…>', 'also make jobs of the new objects of a bucket, or of a prefix in it')
    .addOption(operationOption('with --notify: operations for these objects, as for submit'))
    .option('--output-prefix <gs://…>', 'with --notify: prefix of the results')
    .option('--keep-access', 'leave the access settings of existing buckets unchanged')
    .option('--json', 'print one JSON document')
    .action(async (flags: SetupFlags) => {
      invocation.exitCode = await setUp(flags, invocation.env);
    });
  return withHelp(
    completionsOptions(command),
    [
      'setup --dry-run',
      'setup --completions-subscription my-reader',
      'setup --completions-push hook=https://shop.example/done --push-service-account push@p.iam.gserviceaccount.com',
      "setup --completions-bigquery archive=reports.completions --completions-filter 'NOT attributes:type'",
      'setup --per-model upscale,enhance --location EU',
    ],
    { 1: 'a service refused, or something differs that cannot be changed', [WOULD_CHANGE]: 'a dry run found changes' },
  );
}

async function setUp(flags: SetupFlags, env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env, SETTINGS_READ);
  const subscriptions = wantedSubscriptions(config, flags);
  const buckets = wantedBuckets(config, flags);
  const notification = wantedNotification(config, flags);
  const readers = wantedCompletions(config, flags);
  await Promise.all([reachPubSub(config), reachStorage(config, 'IMAGEN_STATE_PREFIX', config.statePrefix, true)]);
  const pubsub = new PubSubChannel({
    ...{ projectId: config.projectId, emulator: config.pubsubEmulator, pings: PUBLISHING },
  });
  const storage = connectAdmin({ projectId: config.projectId, emulator: config.storageEmulator });
  try {
    const steps = await Promise.all([
      ...[config.jobsTopic, config.completionsTopic, config.deadLetterTopic].map((name) => planTopic(pubsub, name)),
      ...subscriptions.map(({ name, filter }) => planJobsSubscription(pubsub, name, wantedPolicies(config, filter))),
      planPlainSubscription(
        pubsub,
        config.deadLetterTopic,
        config.deadLetterSubscription,
        deadLettersRetention(config),
      ),
      ...undelivered(pubsub, config, flags),
      ...readers.map((reader) => planCompletionsSubscription(pubsub, reader)),
      ...buckets.map((bucket) => planBucket(storage, bucket)),
      ...(notification ? [planNotification(storage, notification)] : []),
    ]);
    const families = config.jobsSubscriptions.map(({ name }) => name);
    const twice = await takenTwice(pubsub, config.jobsTopic, { wanted: subscriptions, families });
    const lost = await takenByNone(pubsub, config.jobsTopic, subscriptions);
    const code = await carryOut(steps, twice, config, flags);
    for (const gap of lost) say(`warning: ${gap}: they are lost`);
    if (code !== 1 && readers.length === 0) await warnOfNoReader(pubsub, config);
    return code;
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    say(`imagen: ${error.message}`);
    return 1;
  } finally {
    pubsub.close();
  }
}

/** The topic of completions that could not be delivered, with a subscription that keeps them. */
function undelivered(pubsub: PubSubChannel, config: SetupConfig, flags: SetupFlags): Promise<SetupStep>[] {
  const topic = flags.completionsDeadLetterTopic;
  if (topic === undefined) return [];
  return [
    planTopic(pubsub, topic),
    planPlainSubscription(pubsub, topic, `${topic}-review`, deadLettersRetention(config)),
  ];
}

/** Prints every step, and executes it unless this is a dry run or an obstacle was found. @returns the exit code */
async function carryOut(
  steps: readonly SetupStep[],
  twice: readonly string[],
  config: SetupConfig,
  flags: SetupFlags,
): Promise<number> {
  const obstacles = [
    ...steps.flatMap((step) => step.obstacles),
    ...(flags.allowOverlap
      ? []
      : twice.map((overlap) => `${overlap}: see docs/google-cloud.md, or give --allow-overlap while you move over`)),
  ];
  const doIt = !flags.dryRun && obstacles.length === 0;
  for (const step of steps) {
    if (doIt) await step.apply();
    const word = WORDS[doIt ? 'done' : 'planned'][step.todo];
    if (flags.json) continue;
    printText(
      [`${step.kind.padEnd(12)} ${step.name}: ${word}`, ...step.details].map(oneLine).join('\n               '),
    );
  }
  if (flags.json) {
    const shown = steps.map(({ kind, name, todo, details }) => ({ kind, name, todo, details }));
    printJson({ changed: doIt, obstacles, steps: shown });
  }
  for (const warning of steps.flatMap((step) => step.warnings)) say(`warning: ${warning}`);
  if (flags.allowOverlap) for (const overlap of twice) say(`warning: ${overlap}`);
  if (config.pubsubEmulator === undefined) say(`note: ${serviceAgentNote(config)}`);
  if (obstacles.length > 0) {
    for (const obstacle of obstacles) say(`imagen: ${obstacle}`);
    say('imagen: nothing was changed');
    return 1;
  }
  if (!flags.dryRun) return 0;
  const changes = steps.filter(({ todo }) => todo !== 'nothing').length;
  if (!flags.json) print(changes === 0 ? 'nothing to do' : `${changes} of ${steps.length} would change`);
  return changes === 0 ? 0 : WOULD_CHANGE;
}

/** A topic without a subscription forgets each message at once. */
async function warnOfNoReader(pubsub: PubSubChannel, { completionsTopic }: SetupConfig): Promise<void> {
  const listed = await subscriptionsOf(pubsub, completionsTopic);
  if (listed?.some((name) => !name.startsWith(TEMPORARY))) return;
  say(
    `note: ${completionsTopic} has no lasting subscription, so nobody can read its completions later. Make one for your reader: imagen setup --completions-subscription NAME. See them as they come: imagen watch`,
  );
}

const WORDS = {
  done: { create: 'created', update: 'updated', nothing: 'unchanged' },
  planned: { create: 'would be created', update: 'would be updated', nothing: 'unchanged' },
} as const;

function serviceAgentNote({ deadLetterTopic }: SetupConfig): string {
  return `Pub/Sub moves a message to ${deadLetterTopic} by itself only if its service agent may publish there and subscribe to the jobs' subscriptions: scripts/release/gcp/setup.sh grants that`;
}
