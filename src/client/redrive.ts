/** Does jobs again that have failed: as new jobs, `<jobId>~r1`, `~r2` and so on, with the request that the record keeps. */
import { ConfigError } from '../config/index.js';
import type { Completion } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { fingerprint } from '../domain/fingerprint.js';
import { jobAttributes, type JobMessage, originalOf, parseJob, redriveId } from '../domain/job.js';
import { pagesOf } from '../domain/pages.js';
import type { ObjectRef } from '../domain/uri.js';
import { folderOf } from '../records/list.js';
import { recall } from '../records/recall.js';
import { type JobRequest, requestOf } from '../records/request.js';
import { factsOf } from '../records/facts.js';
import { mapInOrder } from './in-order.js';
import { jobs, type JobFilter, matches } from './jobs.js';
import type { Parts } from './parts.js';
import { withoutTrace } from './published.js';
import { leaveReceipt, readReceipt, requestOfReceipt } from './receipt.js';
import { whyInVain, whyTooSoon } from './redrive-rules.js';

export interface RedriveOptions {
  readonly signal?: AbortSignal;
  /** Find out what would be done, and publish nothing. */
  readonly dryRun?: boolean;
  /** Also what has succeeded, was canceled, would fail in the same way, or was redriven often. */
  readonly force?: boolean;
  /** The redrive's deadline, as RFC 3339. By default it keeps the old one, unless that has passed. */
  readonly deadline?: string | undefined;
}

/**
 * - `published`: by this call; `would be published`: in a dry run.
 * - `under way`: it was published before and has not ended, as a redrive or as the job itself.
 * - `done`: it has succeeded, or has ended in another way than those that were asked for.
 * - `refused`: it would fail in the same way.
 */
export type RedriveState = 'published' | 'would be published' | 'under way' | 'done' | 'refused';

export interface Redriven {
  /** The job that was first published. */
  readonly original: string;
  readonly state: RedriveState;
  /** The redrive that was published, would be, or is under way. Else the last one that has ended, or the job itself. */
  readonly jobId: string;
  /** One sentence, where nothing was published. */
  readonly why?: string;
}

export interface RedriveAllOptions extends RedriveOptions {
  /** Called for a record that cannot be read, which is left out. It must not throw. */
  readonly onUnreadable?: (jobId: string, error: JobError) => void;
}

/** A job to do again, with its request where no record has it: that of a dead letter. */
export interface RedriveJob {
  readonly jobId: string;
  readonly request?: JobRequest | undefined;
}

const AT_ONCE = 16;
/** Redrives of one job, unless forced: whatever calls this again and again comes to an end. */
const MOST_REDRIVES = 5;

/**
 * Does one job again. A redrive of a redrive is one of the first job. Calling it twice publishes once, since the second
 * call finds the redrive of the first.
 * @throws JobError `INVALID_MESSAGE` if this version cannot publish the request; `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE`
 * @throws ClientError of Pub/Sub; ConfigError without `IMAGEN_UPLOAD_PREFIX`, where receipts are
 */
export function redrive(parts: Parts, job: string | RedriveJob, options: RedriveOptions = {}): Promise<Redriven> {
  const given = typeof job === 'string' ? { jobId: job } : job;
  return parts.run(options.signal, (signal) => redriveOne(parts, given, options, undefined, signal));
}

/**
 * Does all jobs again that match, each once: of a job and its redrives, the last one must match. Yields them in the order
 * of their ids.
 * @throws as `redrive`
 */
export async function* redriveAll(
  parts: Parts,
  filter: JobFilter,
  options: RedriveAllOptions = {},
): AsyncGenerator<Redriven, void, void> {
  const life = parts.until(options.signal);
  try {
    const originals = distinct(jobs(parts, filter, options));
    const work = (jobId: string) =>
      redriveOne(parts, { jobId }, options, filter, life.signal).catch((thrown: unknown) => refusalOf(jobId, thrown));
    yield* mapInOrder(originals, AT_ONCE, work);
  } finally {
    life.release();
  }
}

/**
 * Turns the error of one job into its result, so that the other jobs go on. @throws an error that the other jobs would
 * meet too
 */
export function refusalOf(original: string, thrown: unknown): Redriven {
  if (!(thrown instanceof JobError) || thrown.code === 'STORAGE_UNAVAILABLE') throw thrown;
  return { original, state: 'refused', jobId: original, why: `${thrown.code}: ${thrown.message}` };
}

async function* distinct(found: AsyncIterable<{ readonly jobId: string }>): AsyncGenerator<string, void, void> {
  const seen = new Set<string>();
  for await (const { jobId } of found) {
    const original = originalOf(jobId);
    if (seen.has(original)) continue;
    seen.add(original);
    yield original;
  }
}

async function redriveOne(
  parts: Parts,
  { jobId, request: given }: RedriveJob,
  options: RedriveOptions,
  filter: JobFilter | undefined,
  signal: AbortSignal,
): Promise<Redriven> {
  const original = originalOf(jobId);
  const history = await historyOf(parts, original, signal);
  const { last, redrives, completion } = history;
  const request = history.request ?? given;
  const end = (state: RedriveState, why: string): Redriven => ({ original, state, jobId: last, why });
  if (!completion && (redrives > 0 || !given)) {
    if (redrives > 0 || history.submitted) return end('under way', `${last} was published and has not ended`);
    return end('refused', `there is no record of ${last}: it has not ended, or there is no such job`);
  }
  if (completion && filter && !matches({ ...factsOf({ fingerprint: null, completion }) }, withoutModel(filter))) {
    return end('done', `${last} has ended as ${completion.error?.code ?? completion.status}`);
  }
  if (completion?.status === 'succeeded' && !options.force) return end('done', `${last} has succeeded`);
  if (!request) return end('refused', `the record of ${last} keeps no request: publish the job yourself`);
  if (completion && !options.force) {
    const why = await whyInVain(parts.store, completion, request.message, signal);
    if (why !== undefined) return end('refused', why);
    if (redrives >= MOST_REDRIVES) {
      return end('refused', `it was redriven ${redrives} times, last with ${completion.error?.code ?? 'no error'}`);
    }
    const soon = await whySoon(parts, original, history, request.message, signal);
    if (soon !== undefined) return end('refused', soon);
  }
  const id = redriveId(original, redrives + 1);
  const message = messageOf(request.message, id, original, options.deadline);
  const job = parseJob(Buffer.from(JSON.stringify(message)));
  if (options.dryRun) return { original, state: 'would be published', jobId: id };
  signal.throwIfAborted();
  const attributes = { ...withoutTrace(request.attributes), ...jobAttributes(message) };
  const { orderingKey } = request;
  await parts.publish(Buffer.from(JSON.stringify(message)), attributes, orderingKey);
  const submittedAt = new Date().toISOString();
  await leaveReceipt(parts, id, { fingerprint: fingerprint(job), submittedAt, message, attributes, orderingKey });
  return { original, state: 'published', jobId: id };
}

/** @returns why the last redrive is not repeated yet; undefined where it may be, or where the job has none */
async function whySoon(
  parts: Parts,
  original: string,
  { last, redrives, completion, endedAt, first }: History,
  message: JobMessage,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (redrives === 0 || !completion) return undefined;
  const earlier = redriveId(original, redrives - 1);
  const before =
    redrives === 1 ? first : (await recall(parts.store, parts.settings.statePrefix, earlier, signal))?.completion;
  return before && whyTooSoon(parts.store, last, { completion, endedAt }, before, message, signal);
}

interface History {
  /** The last redrive that is known, or the job itself. */
  readonly last: string;
  /** Number of the last redrive; 0 without one. */
  readonly redrives: number;
  /** How `last` ended, if it has. */
  readonly completion: Completion | undefined;
  /** When it ended, if it is a redrive whose record was listed. */
  readonly endedAt: Date | undefined;
  /** How the job itself ended, if it has. */
  readonly first: Completion | undefined;
  readonly request: JobRequest | undefined;
  /** Whether the job itself has a receipt. Asked for only where it matters. */
  readonly submitted: boolean;
}

/** Finds out from records and receipts how often a job was redriven, and how the last of its redrives ended. */
async function historyOf(parts: Parts, original: string, signal: AbortSignal): Promise<History> {
  const { statePrefix, uploadPrefix } = parts.settings;
  if (uploadPrefix === undefined) {
    throw new ConfigError([
      'IMAGEN_UPLOAD_PREFIX: expected the place of the receipts, without which a job may be redriven twice, given nothing',
    ]);
  }
  const found = await Promise.all(
    [statePrefix, uploadPrefix].map((prefix) => lastRedrive(parts, folderOf(prefix), original, signal)),
  );
  const redrives = Math.max(...found.map(({ number }) => number));
  const endedAt = found.find(({ number }) => number === redrives)?.endedAt;
  const last = redrives === 0 ? original : redriveId(original, redrives);
  const read = (jobId: string) => recall(parts.store, statePrefix, jobId, signal);
  const [first, latest] = await Promise.all([read(original), redrives === 0 ? undefined : read(last)]);
  const ended = redrives === 0 ? first : latest;
  const kept = (first && requestOf(first)) ?? (latest && requestOf(latest));
  const receipt = kept && ended ? undefined : await readReceipt(parts, original, signal);
  const sent = receipt && requestOfReceipt(receipt);
  return {
    ...{ last, redrives, endedAt, completion: ended?.completion, first: first?.completion },
    ...{ request: kept ?? sent, submitted: receipt !== undefined },
  };
}

interface LastRedrive {
  /** 0 without one. */
  readonly number: number;
  /** When its record was created, if this is one. */
  readonly endedAt: Date | undefined;
}

/** The highest n of `<original>~r<n>.json`, a record, or `<original>~r<n>/`, the folder of a receipt. */
async function lastRedrive(
  parts: Parts,
  folder: ObjectRef,
  original: string,
  signal: AbortSignal,
): Promise<LastRedrive> {
  const start = `${folder.name}${original}~r`;
  let last: LastRedrive = { number: 0, endedAt: undefined };
  for await (const { objects, folders } of pagesOf(parts.store, { ...folder, name: start }, undefined, signal)) {
    const records = objects.map(({ name, createdAt }) => ({ name, endedAt: createdAt }));
    for (const { name, endedAt } of [...records, ...folders.map((name) => ({ name, endedAt: undefined }))]) {
      const [, digits] = /^([1-9][0-9]{0,3})(?:\.json|\/)$/.exec(name.slice(start.length)) ?? [];
      const number = Number(digits ?? 0);
      if (number > last.number) last = { number, endedAt };
    }
  }
  return last;
}

function messageOf(asked: JobMessage, jobId: string, original: string, deadline: string | undefined): JobMessage {
  const { deadline: old, ...rest } = asked;
  const kept = deadline ?? (old !== undefined && Date.parse(old) > Date.now() ? old : undefined);
  return { ...rest, jobId, redriveOf: original, ...(kept === undefined ? {} : { deadline: kept }) };
}

/** A completion does not say its `model` attribute. All redrives of a job have the same. */
function withoutModel(filter: JobFilter): JobFilter {
  return { ...filter, model: undefined };
}
