/** The two ways to finish a message: announcing how its job ended, or putting a copy of it into the queue. */
import { completionAttributes, completionBytes } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { NotPublishable } from '../domain/ports.js';
import { groupCompletionAttributes } from '../domain/group-completion.js';
import { type Job, originalOf } from '../domain/job.js';
import { countEnd } from '../records/groups.js';
import { addAttributes, inSpan, markFailed } from '../tracing/spans.js';
import type { Availability } from '../scheduling/availability.js';
import { reportStep, type Worker } from './context.js';
import { deadLetterAttributes } from './dead-letter.js';
import { awayForMs, deferredAttributes, missingNow } from './defer.js';
import { leaveMovedMarker } from '../records/markers.js';
import { isSpent, type Message, type Received } from './message.js';
import { needLabel, wholeOf } from '../scheduling/needs.js';
import type { Decision } from './decision.js';
import type { Outcome } from './outcome.js';
import type { Outgoing, Outlet } from './outlet.js';

/**
 * Longest time to hold a message while a topic accepts nothing, in milliseconds. It is well within the hour for which the
 * lease is extended.
 */
const LONGEST_HOLD_MS = 2_700_000;
/**
 * Time limit for leaving the marker that a message was put back, in milliseconds. Without it, the message is put back once
 * more at worst.
 */
const MARK_LIMIT_MS = 2_000;

/** What is away, as a label, and how long it has been continuously away, in milliseconds. */
export interface Absence {
  readonly missing: string | undefined;
  readonly awayMs: number;
}

/**
 * What is away according to an error. If the whole bucket (its configured prefix) or model is known to be away, that is the
 * answer. Otherwise it is the one object or version that the error names, and other objects or versions say nothing about
 * it. So its neighbours do not reset the time of an object that alone is denied, and an outage of the bucket does not start
 * that time.
 */
export function absenceOf({ parts, sightings }: Worker, { raw, arrivedAt }: Received, error: Error): Absence {
  const { availability } = parts;
  const missing = missingNow(raw, missingIn(availability, error));
  if (missing === undefined) return { missing, awayMs: 0 };
  const usedAt = availability.usedAt(missing);
  const known = {
    ...{ usedAt, awaySince: sightings.away(missing, usedAt) },
    arrivedAt: Date.now() - (performance.now() - arrivedAt),
  };
  return { missing, awayMs: awayForMs(raw, missing, known) };
}

function missingIn(availability: Availability, error: Error): string | undefined {
  if (!(error instanceof JobError) || error.costsAttempt) return undefined;
  if (!error.needs) return error.code;
  const whole = wholeOf(error.needs);
  return needLabel(availability.broken([whole]) ? whole : error.needs);
}

/** Puts a copy of the message into the queue. */
export async function putBack(worker: Worker, message: Message, error: Error, signal: AbortSignal): Promise<Outcome> {
  const why = {
    ...{ error, ...absenceOf(worker, message, error) },
    counts: error instanceof JobError && error.costsAttempt,
    precautions: message.precautions,
  };
  const attributes = deferredAttributes(message.delivery, why);
  const { data, orderingKey } = message.delivery;
  const refused = await hold(worker.parts.jobs, { data, attributes, orderingKey }, signal);
  if (refused) return { kind: 'given back', error: refused };
  await leaveMovedMark(worker, message);
  return { kind: 'put back', error };
}

/** Best effort, because storage may be what is away. */
async function leaveMovedMark({ parts, options }: Worker, { job, raw, needs }: Message): Promise<void> {
  if (parts.availability.broken(needs.filter(({ kind }) => kind === 'bucket'))) return;
  const limit = AbortSignal.timeout(MARK_LIMIT_MS);
  await leaveMovedMarker(parts.store, options.statePrefix, { jobId: job.jobId, raw }, limit).catch(() => undefined);
}

/**
 * Publishes the dead letter first, then the completion. Both come before the ack, and both are repeated if a worker dies in
 * between.
 */
export async function announce(
  worker: Worker,
  received: Received & { readonly job?: Job },
  decision: Decision,
  signal: AbortSignal,
): Promise<Outcome> {
  const { parts } = worker;
  const { raw, delivery, arrivedAt } = received;
  const { completion, model, replay } = decision;
  const decidedAt = performance.now();
  const until = isSpent(raw, worker.options.maxAttempts) ? AbortSignal.abort() : signal;
  if (decision.deadLetter) {
    const letter = { data: delivery.data, attributes: deadLetterAttributes(delivery, completion) };
    const refused = await hold(parts.deadLetters, letter, until);
    if (refused) return notAnnounced(worker, received, refused, signal);
    parts.observer.deadLettered(completion);
  }
  const announcement = { data: completionBytes(completion), attributes: completionAttributes(completion, model) };
  const refused = await hold(parts.completions, announcement, until);
  if (refused) return notAnnounced(worker, received, refused, signal);
  reportStep(completion.jobId, delivery, 'publish');
  const uncounted = await announceGroup(worker, received, decision, until, signal);
  if (uncounted) return notAnnounced(worker, received, uncounted, signal);
  addAttributes(() => ({ 'imagen.status': completion.status, 'imagen.replay': replay }));
  if (completion.error) markFailed(completion.error);
  const now = performance.now();
  parts.observer.ended({ ...decision, delivery, tookMs: now - arrivedAt, publishMs: now - decidedAt });
  return { kind: 'announced' };
}

/**
 * Counts the job in its group, if the group's total is known, and publishes the group's completion if this job has closed
 * it. It comes after the job's own completion, so that a group ends when all of its completions are published.
 * @returns why it could not be done
 */
async function announceGroup(
  { parts, options, outcomeStore }: Worker,
  { job }: { readonly job?: Job },
  { completion, recorded, replay }: Decision,
  until: AbortSignal,
  signal: AbortSignal,
): Promise<Error | undefined> {
  const { id, total } = job?.group ?? {};
  if (!job || id === undefined || total === undefined || !recorded) return undefined;
  const store = until.aborted ? parts.singleTryStore : outcomeStore;
  const { status } = completion;
  const end = { jobId: originalOf(job.jobId), status, isNew: !replay && job.redriveOf === undefined };
  try {
    const outcome = await inSpan('count in group', {}, () =>
      countEnd(store, options.statePrefix, { id, total }, end, signal),
    );
    if (!outcome) return undefined;
    const attributes = groupCompletionAttributes(outcome);
    return await hold(parts.completions, { data: Buffer.from(JSON.stringify(outcome)), attributes }, until);
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

/**
 * Makes the message return so that it is announced later. A copy costs no attempt, if the jobs topic accepts it. If the
 * worker is stopping, a first delivery is given back, which does no harm the first time.
 */
async function notAnnounced(
  { parts }: Worker,
  { delivery }: Received,
  error: Error,
  signal: AbortSignal,
): Promise<Outcome> {
  const givenBack: Outcome = { kind: 'given back', error };
  if (error instanceof NotPublishable || (signal.aborted && delivery.attempt <= 1)) return givenBack;
  const { data, orderingKey } = delivery;
  const attributes = deferredAttributes(delivery, { error, awayMs: 0, counts: false });
  const once = AbortSignal.abort();
  return (await parts.jobs.publish({ data, attributes, orderingKey }, once)) ? givenBack : { kind: 'put back', error };
}

/**
 * Publishes, with retries as long as the message may be held.
 * @returns why the topic did not accept it
 */
async function hold(outlet: Outlet, outgoing: Outgoing, signal: AbortSignal): Promise<Error | undefined> {
  const until = new AbortController();
  const give = () => until.abort();
  const timer = setTimeout(give, LONGEST_HOLD_MS).unref();
  signal.addEventListener('abort', give, { once: true });
  if (signal.aborted) give();
  try {
    return await outlet.publish(outgoing, until.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}
