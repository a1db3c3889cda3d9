import { Command } from 'commander';
import { planBucket, type WantedBucket } from '../adapters/gcs/admin.js';
import { createStorageClient } from '../adapters/gcs/client.js';
import { planNotification } from '../adapters/gcs/notifications.js';
import type { Keep } from '../adapters/gcs/lifecycle.js';
import { span, type Step, StepFailed } from '../adapters/plan.js';
import {
  DEAD_LETTERS_RETENTION_SECONDS,
  EMULATOR_RETENTION_SECONDS,
  JOBS_RETENTION_SECONDS,
  planJobsSubscription,
  planPlainSubscription,
  planTopic,
} from '../adapters/pubsub/admin.js';
import { takenTwice } from '../adapters/pubsub/inspect.js';
import { createAdminClient } from '../adapters/pubsub/admin-client.js';
import { shareOut } from '../adapters/pubsub/filters.js';
import { type Config, readConfig } from '../config/index.js';
import { isPermitted, parsePrefix, under } from '../domain/uri.js';
import { MARKER_SUFFIXES } from '../records/markers.js';
import { type NotifyFlags, wantedNotification } from './notify.js';
import { operationOption } from './operations.js';
import { type Invocation, UsageError } from './usage.js';

/** Attempts that the subscription permits beyond the worker's limit. The worker must always end a job first. */
const SPARE_ATTEMPTS = 5;
/** Exit code of a dry run that would change something. It differs from failure (1) and wrong call (2). */
const WOULD_CHANGE = 3;
const DEFAULT_DAYS = 30;
/** Suffixes of records and of the markers beside them: see records/record.ts and records/markers.ts. */
const STATE_SUFFIXES = ['.json', ...MARKER_SUFFIXES];

const SETTINGS_READ = [
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
  'maxDeferredSeconds',
] as const;
export type SetupConfig = Pick<Config, (typeof SETTINGS_READ)[number]>;

export interface SetupFlags extends NotifyFlags {
  readonly completionsSubscription: readonly string[];
  readonly location?: string;
  readonly perModel?: string;
  readonly perPriority?: boolean;
  readonly allowOverlap?: boolean;
  readonly stateDays?: string;
  readonly uploadDays?: string;
  readonly resultsDays?: string;
  readonly keepAccess?: boolean;
  readonly dryRun?: boolean;
}

export function setupCommand(invocation: Invocation): Command {
  return new Command('setup')
    .description(
      'create topics, subscriptions with their policies, and buckets, and mend what differs; safe to run again',
    )
    .option('--dry-run', `say what would be done, and do nothing; exit ${WOULD_CHANGE} if there is something to do`)
    .option('--per-model <model,…>', 'a filtered subscription for each of these models, and one for the rest')
    .option('--per-priority', 'two filtered subscriptions: interactive and the rest')
    .option('--allow-overlap', 'even if jobs are then delivered by two subscriptions: to move from some to others')
    .option(
      '--completions-subscription <name>',
      'also a subscription to the completions, for a reader of yours (may be repeated)',
      (name: string, before: string[]) => [...before, name],
      [],
    )
    .option('--location <location>', 'where new buckets are made')
    .option('--state-days <days>', `delete records after so many days, or never (${DEFAULT_DAYS}, or more if need be)`)
    .option('--upload-days <days>', `delete uploads after so many days, or never (${DEFAULT_DAYS})`)
    .option(
      '--results-days <days>',
      'delete results after so many days, or never; unless given, their rule is left alone',
    )
    .option('--notify <gs://…>', 'also make jobs of the new objects of a bucket, or of a prefix in it')
    .addOption(operationOption('with --notify: what is done with them, as for submit'))
    .option('--output-prefix <gs://…>', 'with --notify: prefix of the results')
    .option('--keep-access', 'leave the access settings of buckets that are there as they are')
    .action(async (flags: SetupFlags) => {
      invocation.exitCode = await setUp(flags, invocation.env);
    });
}

async function setUp(flags: SetupFlags, env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env, SETTINGS_READ);
  const subscriptions = wantedSubscriptions(config, flags);
  const buckets = wantedBuckets(config, flags);
  const notification = wantedNotification(config, flags);
  const pubsub = createAdminClient({ projectId: config.projectId, emulator: config.pubsubEmulator });
  const storage = createStorageClient({ projectId: config.projectId, emulator: config.storageEmulator });
  try {
    const steps = await Promise.all([
      ...[config.jobsTopic, config.completionsTopic, config.deadLetterTopic].map((name) => planTopic(pubsub, name)),
      ...subscriptions.map(({ name, filter }) =>
        planJobsSubscription(pubsub, name, {
          topic: config.jobsTopic,
          deadLetterTopic: config.deadLetterTopic,
          maxDeliveryAttempts: config.maxAttempts + SPARE_ATTEMPTS,
          filter,
        }),
      ),
      planPlainSubscription(
        pubsub,
        config.deadLetterTopic,
        config.deadLetterSubscription,
        config.pubsubEmulator === undefined ? DEAD_LETTERS_RETENTION_SECONDS : EMULATOR_RETENTION_SECONDS,
      ),
      ...flags.completionsSubscription.map((name) => planPlainSubscription(pubsub, config.completionsTopic, name)),
      ...buckets.map((bucket) => planBucket(storage, bucket)),
      ...(notification ? [planNotification(storage, notification)] : []),
    ]);
    const families = config.jobsSubscriptions.map(({ name }) => name);
    const twice = await takenTwice(pubsub, config.jobsTopic, { wanted: subscriptions, families });
    return await carryOut(steps, twice, config, flags);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    console.error(`imagen: ${error.message}`);
    return 1;
  } finally {
    await pubsub.close();
  }
}

/** Prints every step, and executes it unless this is a dry run or an obstacle was found. @returns the exit code */
async function carryOut(
  steps: readonly Step[],
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
    console.log([`${step.kind.padEnd(12)} ${step.name}: ${word}`, ...step.details].join('\n               '));
  }
  for (const warning of steps.flatMap((step) => step.warnings)) console.error(`warning: ${warning}`);
  if (flags.allowOverlap) for (const overlap of twice) console.error(`warning: ${overlap}`);
  if (config.pubsubEmulator === undefined) console.error(`note: ${serviceAgentNote(config)}`);
  if (obstacles.length > 0) {
    for (const obstacle of obstacles) console.error(`imagen: ${obstacle}`);
    console.error('imagen: nothing was changed');
    return 1;
  }
  if (!flags.dryRun) return 0;
  const changes = steps.filter(({ todo }) => todo !== 'nothing').length;
  console.log(changes === 0 ? 'nothing to do' : `${changes} of ${steps.length} would change`);
  return changes === 0 ? 0 : WOULD_CHANGE;
}

const WORDS = {
  done: { create: 'created', update: 'updated', nothing: 'unchanged' },
  planned: { create: 'would be created', update: 'would be updated', nothing: 'unchanged' },
} as const;

function serviceAgentNote({ deadLetterTopic }: SetupConfig): string {
  return `Pub/Sub moves a message to ${deadLetterTopic} by itself only if its service agent may publish there and subscribe to the jobs' subscriptions: scripts/release/gcp/setup.sh grants that`;
}

// ── Wanted state ──────────────────────────────────────────────────────────────

export interface WantedSubscription {
  readonly name: string;
  /** If undefined, the subscription keeps its filter. */
  readonly filter?: string;
}

/** @throws UsageError */
export function wantedSubscriptions(
  { jobsSubscriptions }: Pick<SetupConfig, 'jobsSubscriptions'>,
  flags: Pick<SetupFlags, 'perModel' | 'perPriority'>,
): WantedSubscription[] {
  if (flags.perModel === undefined && !flags.perPriority) return jobsSubscriptions.map(({ name }) => ({ name }));
  const [base] = jobsSubscriptions;
  if (base === undefined || jobsSubscriptions.length > 1) {
    throw new UsageError(
      `IMAGEN_JOBS_SUBSCRIPTIONS: expected one name, from which those of --per-model and --per-priority are made, given ${jobsSubscriptions.length}`,
    );
  }
  const models = (flags.perModel ?? '')
    .split(',')
    .map((model) => model.trim())
    .filter((model) => model !== '');
  const wrong = models.filter((model) => !/^[A-Za-z0-9_.-]{1,64}$/.test(model));
  if (wrong.length > 0 || (flags.perModel !== undefined && models.length === 0)) {
    throw new UsageError(`--per-model: expected names of models, separated by commas, given ${flags.perModel ?? ''}`);
  }
  try {
    return shareOut({ models, byPriority: flags.perPriority ?? false }).map(({ suffix, filter }) => ({
      name: `${base.name}-${suffix}`,
      filter,
    }));
  } catch (error) {
    throw new UsageError(`--per-model: ${(error as Error).message}`);
  }
}

/**
 * Minimum age at which a record may be deleted, in days. A record must outlive every message of its job, because a worker
 * runs the job again for a duplicate without a record. The last message is a copy that a worker put back after the longest
 * deferral. The original was first delivered just before its retention ended, and the copy has its own retention.
 */
export function leastStateDays(maxDeferredSeconds: number): number {
  return Math.ceil((2 * JOBS_RETENTION_SECONDS + maxDeferredSeconds) / 86_400);
}

/** @throws UsageError that names every problem */
export function wantedBuckets(
  config: Pick<SetupConfig, 'outputPrefix' | 'statePrefix' | 'uploadPrefix' | 'maxDeferredSeconds' | 'storageEmulator'>,
  flags: Pick<SetupFlags, 'stateDays' | 'uploadDays' | 'resultsDays' | 'location' | 'keepAccess'>,
): WantedBucket[] {
  const problems: string[] = [];
  const days = (flag: string, given: string | undefined): Keep['days'] | undefined => {
    if (given === undefined || given === 'never') return given === undefined ? undefined : 'for ever';
    const number = /^[1-9][0-9]{0,4}$/.test(given) ? Number(given) : undefined;
    if (number === undefined) problems.push(`${flag}: expected a whole number of days, or never, given ${given}`);
    return number;
  };
  const leastDays = leastStateDays(config.maxDeferredSeconds);
  const stateDays = days('--state-days', flags.stateDays) ?? Math.max(DEFAULT_DAYS, leastDays);
  if (typeof stateDays === 'number' && stateDays < leastDays) {
    problems.push(
      `--state-days: expected at least ${leastDays}, given ${stateDays}: a message may come until ${span(JOBS_RETENTION_SECONDS)} in its subscription, IMAGEN_MAX_DEFERRED_SECONDS (${span(config.maxDeferredSeconds)}) and another ${span(JOBS_RETENTION_SECONDS)} as a copy are over, and one that finds no record is worked on again`,
    );
  }
  const places = [
    { variable: 'IMAGEN_OUTPUT_PREFIX', prefix: config.outputPrefix, days: days('--results-days', flags.resultsDays) },
    {
      variable: 'IMAGEN_STATE_PREFIX',
      prefix: config.statePrefix,
      days: stateDays,
      suffixes: STATE_SUFFIXES,
      leastDays,
    },
    {
      variable: 'IMAGEN_UPLOAD_PREFIX',
      prefix: config.uploadPrefix,
      days: days('--upload-days', flags.uploadDays) ?? DEFAULT_DAYS,
    },
  ];
  for (const outer of places) {
    for (const inner of places) {
      if (inner === outer || typeof outer.days !== 'number') continue;
      if (isPermitted(under(inner.prefix, 'x'), [outer.prefix])) {
        problems.push(
          `${inner.variable}: expected a place outside of ${outer.variable}, where everything is deleted after ${outer.days} days, given ${inner.prefix} under ${outer.prefix}`,
        );
      }
    }
  }
  if (problems.length > 0) throw new UsageError(problems.join('\nimagen: '));

  const buckets = new Map<string, { keep: Keep[]; results: boolean }>();
  for (const { variable, prefix, days: kept, ...rest } of places) {
    const { bucket, folder } = parsed(prefix);
    const entry = buckets.get(bucket) ?? { keep: [], results: false };
    if (kept !== undefined) entry.keep.push({ folder, suffixes: [], ...rest, days: kept });
    entry.results ||= variable === 'IMAGEN_OUTPUT_PREFIX';
    buckets.set(bucket, entry);
  }
  // The emulator accepts the settings of a new bucket, but does not return them.
  const real = config.storageEmulator === undefined;
  return [...buckets].map(([name, { keep, results }]) => ({
    ...{ name, location: flags.location, keep },
    // In the other buckets, lifecycle rules delete objects on purpose. To keep them for another week would only cost money.
    softDelete: results,
    compare: { access: real && !flags.keepAccess, lifecycle: real },
  }));
}

function parsed(prefix: string): { bucket: string; folder: string } {
  const place = parsePrefix(prefix);
  if (typeof place === 'string') throw new TypeError(`${prefix}: ${place}`); // the configuration was checked before
  return place;
}
