/** What `imagen setup` wants: which subscriptions and buckets, with which settings. */
import type { WantedBucket } from '../../adapters/gcs/admin.js';
import type { Keep } from '../../adapters/gcs/lifecycle.js';
import { durationText } from '../../adapters/setup-step.js';
import {
  DEAD_LETTERS_RETENTION_SECONDS,
  EMULATOR_RETENTION_SECONDS,
  type JobsSubscription,
} from '../../adapters/pubsub/admin.js';
import { shareOut } from '../../adapters/pubsub/filters.js';
import { JOBS_RETENTION_SECONDS } from '../../adapters/pubsub/properties.js';
import type { Config } from '../../config/index.js';
import { commaSeparated } from '../../config/readers.js';
import { tenantSchema } from '../../domain/job.js';
import { isPermitted, parsePrefix, under } from '../../domain/uri.js';
import { MARKER_SUFFIXES } from '../../records/markers.js';
import type { NotifyFlags } from '../notify.js';
import { UsageError } from '../usage.js';
import type { CompletionsFlags } from './completions.js';

export const DEFAULT_DAYS = 30;
/** Attempts that the subscription permits beyond the worker's limit. The worker must always end a job first. */
const SPARE_ATTEMPTS = 5;
/** Suffixes of records and of the markers beside them: see records/record.ts and records/markers.ts. */
const STATE_SUFFIXES = ['.json', ...MARKER_SUFFIXES];

export const SETTINGS_READ = [
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
  'shadowPrefix',
  'maxAttempts',
  'maxDeferredSeconds',
] as const;
export type SetupConfig = Pick<Config, (typeof SETTINGS_READ)[number]>;

export interface SetupFlags extends NotifyFlags, CompletionsFlags {
  readonly location?: string;
  readonly perModel?: string;
  readonly perTenant?: string;
  readonly perPriority?: boolean;
  readonly allowOverlap?: boolean;
  readonly stateDays?: string;
  readonly uploadDays?: string;
  readonly shadowDays?: string;
  readonly resultsDays?: string;
  readonly keepAccess?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export interface WantedSubscription {
  readonly name: string;
  /** If undefined, the subscription keeps its filter. */
  readonly filter?: string;
}

/** @throws UsageError */
export function wantedSubscriptions(
  { jobsSubscriptions }: Pick<SetupConfig, 'jobsSubscriptions'>,
  flags: Pick<SetupFlags, 'perModel' | 'perTenant' | 'perPriority'>,
): WantedSubscription[] {
  const { perModel, perTenant, perPriority = false } = flags;
  if (perModel === undefined && perTenant === undefined && !perPriority)
    return jobsSubscriptions.map(({ name }) => ({ name }));
  const [base] = jobsSubscriptions;
  if (base === undefined || jobsSubscriptions.length > 1) {
    throw new UsageError(
      `IMAGEN_JOBS_SUBSCRIPTIONS: expected one name, from which those of --per-model, --per-tenant and --per-priority are made, given ${jobsSubscriptions.length}`,
    );
  }
  const models = namesOf('--per-model', perModel, 'names of models', (name) => /^[A-Za-z0-9_.-]{1,64}$/.test(name));
  const isTenant = (name: string) => tenantSchema.safeParse(name).success;
  const tenants = namesOf('--per-tenant', perTenant, 'labels of tenants', isTenant);
  try {
    return shareOut({ models, tenants, byPriority: perPriority }).map(({ suffix, filter }) => ({
      name: `${base.name}-${suffix}`,
      filter,
    }));
  } catch (error) {
    const given = [
      ...(perTenant === undefined ? [] : ['--per-tenant']),
      ...(perModel === undefined ? [] : ['--per-model']),
    ];
    throw new UsageError(`${given.join(' and ')}: ${(error as Error).message}`);
  }
}

/** @throws UsageError */
function namesOf(flag: string, text: string | undefined, what: string, is: (name: string) => boolean): string[] {
  if (text === undefined) return [];
  const names = commaSeparated(text);
  if (names.length > 0 && names.every(is)) return names;
  throw new UsageError(`${flag}: expected ${what}, separated by commas, given ${text}`);
}

/** The policies of a subscription that workers pull. */
export function wantedPolicies(
  { jobsTopic, deadLetterTopic, maxAttempts }: Pick<SetupConfig, 'jobsTopic' | 'deadLetterTopic' | 'maxAttempts'>,
  filter?: string,
): JobsSubscription {
  return { topic: jobsTopic, deadLetterTopic, maxDeliveryAttempts: maxAttempts + SPARE_ATTEMPTS, filter };
}

/** How long dead letters are kept, in seconds. */
export function deadLettersRetention({ pubsubEmulator }: Pick<SetupConfig, 'pubsubEmulator'>): number {
  return pubsubEmulator === undefined ? DEAD_LETTERS_RETENTION_SECONDS : EMULATOR_RETENTION_SECONDS;
}

/**
 * Minimum age at which a record may be deleted, in days. A record must outlive every message of its job, because a worker
 * runs the job again for a duplicate without a record. The last message is a copy that a worker put back after the longest
 * deferral. The original was first delivered just before its retention ended, and the copy has its own retention.
 */
export function leastStateDays(maxDeferredSeconds: number): number {
  return Math.ceil((2 * JOBS_RETENTION_SECONDS + maxDeferredSeconds) / 86_400);
}

/**
 * @param config without `uploadPrefix` or `shadowPrefix`, the bucket of the uploads or shadows is left out
 * @throws UsageError that names every problem
 */
export function wantedBuckets(
  config: Pick<SetupConfig, 'outputPrefix' | 'statePrefix' | 'maxDeferredSeconds' | 'storageEmulator'> & {
    readonly uploadPrefix?: string | undefined;
    readonly shadowPrefix?: string | undefined;
  },
  flags: Pick<SetupFlags, 'stateDays' | 'uploadDays' | 'shadowDays' | 'resultsDays' | 'location' | 'keepAccess'>,
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
      `--state-days: expected at least ${leastDays}, given ${stateDays}: a message may come for ${durationText(JOBS_RETENTION_SECONDS)} in its subscription, plus IMAGEN_MAX_DEFERRED_SECONDS (${durationText(config.maxDeferredSeconds)}), plus another ${durationText(JOBS_RETENTION_SECONDS)} as a copy, and a job without a record is worked on again`,
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
    ...(config.uploadPrefix === undefined
      ? []
      : [
          {
            variable: 'IMAGEN_UPLOAD_PREFIX',
            prefix: config.uploadPrefix,
            days: days('--upload-days', flags.uploadDays) ?? DEFAULT_DAYS,
          },
        ]),
    ...(config.shadowPrefix === undefined
      ? []
      : [
          {
            variable: 'IMAGEN_SHADOW_PREFIX',
            prefix: config.shadowPrefix,
            days: days('--shadow-days', flags.shadowDays) ?? DEFAULT_DAYS,
          },
        ]),
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
