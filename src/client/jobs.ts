/** The jobs that have ended, from their records. */
import type { Completion } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { factsOf, type RecordFacts } from '../records/facts.js';
import { type ListedRecord, listRecords } from '../records/list.js';
import { recall } from '../records/recall.js';
import type { JobRecord } from '../records/record.js';
import { type JobRequest, requestOf } from '../records/request.js';
import { mapInOrder } from './in-order.js';
import type { Parts } from './parts.js';

/** Which jobs. Each field narrows it down; of a list, one must match. */
export interface JobFilter {
  readonly status?: readonly string[] | undefined;
  /** Codes of errors. */
  readonly code?: readonly string[] | undefined;
  /** The model of the last operation. */
  readonly model?: readonly string[] | undefined;
  /** Ended at this time or later. */
  readonly since?: Date | undefined;
  /** Ended before this time. */
  readonly until?: Date | undefined;
  /** The beginning of the id. This one makes the list shorter: the others are compared. */
  readonly prefix?: string | undefined;
  /** Id of the group. */
  readonly group?: string | undefined;
  readonly tenant?: string | undefined;
}

export interface JobsOptions {
  readonly signal?: AbortSignal;
  /** Go on behind this id, which was the last one of the page before. */
  readonly after?: string | undefined;
  /** Leaves a job out before its record is read. */
  readonly skip?: (jobId: string) => boolean;
  /** Called for a record that cannot be read, which is left out. It must not throw. */
  readonly onUnreadable?: (jobId: string, error: JobError) => void;
}

export interface EndedJob {
  readonly jobId: string;
  /** When its record was created, as RFC 3339. */
  readonly endedAt: string;
  readonly completion: Completion;
  /** What the publisher asked for. Older records and some cancellations have none. */
  readonly request?: JobRequest;
}

export interface JobCounts {
  readonly jobs: number;
  readonly byStatus: Readonly<Record<string, number>>;
  /** Of those with an error, by its code. */
  readonly byCode: Readonly<Record<string, number>>;
}

/** Records that are read at the same time. */
const AT_ONCE = 32;

interface Found extends ListedRecord {
  readonly facts: RecordFacts;
  /** Where it had to be read. */
  readonly record?: JobRecord;
}

/**
 * The jobs that match, in the order of their ids. Names and facts come from lists of 1,000; only what matches is read.
 * @throws JobError `STORAGE_UNAVAILABLE`; the signal's reason
 */
export async function* jobs(
  parts: Parts,
  filter: JobFilter,
  options: JobsOptions,
): AsyncGenerator<EndedJob, void, void> {
  const life = parts.until(options.signal);
  const { signal } = life;
  try {
    const read = (found: Found) => tolerant(found.jobId, options, () => whole(parts, found, signal));
    for await (const job of mapInOrder(find(parts, filter, options, signal), AT_ONCE, read)) if (job) yield job;
  } finally {
    life.release();
  }
}

/** Counts the jobs that match, by status and by code. @throws JobError `STORAGE_UNAVAILABLE`; the signal's reason */
export function countJobs(parts: Parts, filter: JobFilter, options: JobsOptions): Promise<JobCounts> {
  return parts.run(options.signal, async (signal) => {
    const byStatus: Record<string, number> = {};
    const byCode: Record<string, number> = {};
    let count = 0;
    for await (const { facts } of find(parts, filter, options, signal)) {
      count++;
      byStatus[facts.status] = (byStatus[facts.status] ?? 0) + 1;
      if (facts.code !== undefined) byCode[facts.code] = (byCode[facts.code] ?? 0) + 1;
    }
    return { jobs: count, byStatus, byCode };
  });
}

/** What a list shows of the jobs that match. Records of older workers are read for it. */
async function* find(
  parts: Parts,
  filter: JobFilter,
  options: JobsOptions,
  signal: AbortSignal,
): AsyncGenerator<Found, void, void> {
  const { store, settings } = parts;
  const { prefix } = filter;
  const listed = listRecords(store, settings.statePrefix, { prefix, after: options.after }, signal);
  const look = (one: ListedRecord): Promise<Found | undefined> => {
    const { facts } = one;
    if (!isInTime(one, filter) || options.skip?.(one.jobId)) return Promise.resolve(undefined);
    if (facts) return Promise.resolve({ ...one, facts });
    return tolerant(one.jobId, options, async () => {
      const record = await recall(store, settings.statePrefix, one.jobId, signal);
      return record && { ...one, facts: factsOf(record), record };
    });
  };
  for await (const found of mapInOrder(listed, AT_ONCE, look)) if (found && matches(found.facts, filter)) yield found;
}

async function whole(
  { store, settings }: Parts,
  { jobId, endedAt, record: known }: Found,
  signal: AbortSignal,
): Promise<EndedJob | undefined> {
  const record = known ?? (await recall(store, settings.statePrefix, jobId, signal));
  if (!record) return undefined; // it was deleted meanwhile
  const request = requestOf(record);
  return { jobId, endedAt: endedAt.toISOString(), completion: record.completion, ...(request ? { request } : {}) };
}

async function tolerant<T>(
  jobId: string,
  { onUnreadable }: JobsOptions,
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (thrown) {
    if (!(thrown instanceof JobError) || thrown.code !== 'RECORD_UNREADABLE') throw thrown;
    onUnreadable?.(jobId, thrown);
    return undefined;
  }
}

function isInTime({ endedAt }: ListedRecord, { since, until }: JobFilter): boolean {
  return (since === undefined || endedAt >= since) && (until === undefined || endedAt < until);
}

export function matches(facts: RecordFacts, { status, code, model, group, tenant }: JobFilter): boolean {
  const among = (wanted: readonly string[] | undefined, given: string | undefined) =>
    wanted === undefined || (given !== undefined && wanted.includes(given));
  return (
    among(status, facts.status) &&
    among(code, facts.code) &&
    among(model, facts.model) &&
    (group === undefined || facts.group === group) &&
    (tenant === undefined || facts.tenant === tenant)
  );
}
