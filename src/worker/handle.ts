/**
 * Processes one message, always in this order: parse, recall (`lookUp`), admit (`intake.enter`), run and record
 * (`runAttempt`), announce, settle. The worker acks a message only after its outcome is published or a copy of it is in the
 * queue again. Only `settleMessage` decides that.
 */
import { DeliveriesSpent, type GivenBack, JobError } from '../domain/errors.js';
import { arrivalOf } from '../domain/notification.js';
import type { Delivery, Settlement } from '../domain/ports.js';
import { recall } from '../records/recall.js';
import { addAttributes, addEvent, inSpan, markFailed } from '../tracing/spans.js';
import { precautionsAfter } from './precautions.js';
import type { HandlerOptions, HandlerParts, Worker } from './context.js';
import { timeLimit } from './deadline.js';
import type { Decision } from './decision.js';
import { deferralsOf } from './defer.js';
import { leaveAttemptMarker, countAttemptMarkers, wasMoved } from '../records/markers.js';
import { withRetries } from '../pipeline/retry.js';
import { isSpent, type Message, parse, receive, type Received, unreadable } from './message.js';
import { type AttemptResult, fromRecord, interrupted, type Outcome, type PutOff, unavailable } from './outcome.js';
import { announce, putBack } from './put-back.js';
import { runAttempt, ALONE_FROM_ATTEMPT } from './run-attempt.js';
import { createSlots } from '../scheduling/slots.js';
import { createSightings } from './sightings.js';
import { withoutWaiting } from './without-waiting.js';

/**
 * Most messages that may ask storage about their job at once. A large backlog may arrive at once, repeatedly while workers
 * die. Without a limit its requests would make each other time out, and none would ever be answered.
 */
const LOOK_UPS = 32;
/** A recall older than this is repeated before the work begins. */
const RECALL_AGAIN_MS = 5_000;
/** Pause between two reads of an unreadable object in the place of a record. */
const UNREADABLE_PAUSE_MS = 30_000;
/** Pause before a job is put back although all its needs seem to work. It doubles each time, up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** @returns the handler for a JobSource; it never throws */
export function createHandler(parts: HandlerParts, options: HandlerOptions) {
  const worker: Worker = {
    ...{ parts, options, outcomeStore: parts.store },
    ...{ sightings: createSightings(), lookUps: createSlots(LOOK_UPS) },
  };
  return (delivery: Delivery, signal: AbortSignal): Promise<Settlement> => handleMessage(worker, delivery, signal);
}

async function handleMessage(worker: Worker, raw: Delivery, signal: AbortSignal): Promise<Settlement> {
  const { observer } = worker.parts;
  observer.received(raw);
  const { statePrefix, pipeline } = worker.options;
  const arrival = arrivalOf(raw, statePrefix);
  if (arrival.kind === 'ignored') {
    observer.ignored(raw, arrival.reason);
    return 'ack';
  }
  const received = receive(arrival.kind === 'job' ? arrival.published : raw);
  const parsed =
    arrival.kind === 'invalid'
      ? unreadable(received, { jobId: arrival.jobId }, arrival.error)
      : parse(received, { statePrefix, ...pipeline.fetch, ...pipeline.target });
  const isJob = 'job' in parsed;
  const working = isJob ? processMessage(worker, parsed, signal) : announce(worker, received, parsed, signal);
  const outcome = await working.catch(unexpected);
  return settleMessage(worker, received, outcome, isJob ? parsed.job.jobId : parsed.completion.jobId);
}

async function processMessage(worker: Worker, message: Message, signal: AbortSignal): Promise<Outcome> {
  addAttributes(() => ({
    'imagen.job_id': message.job.jobId,
    'imagen.models': message.job.operations.map(({ model }) => model),
  }));
  let { precautions } = message;
  for (;;) {
    const attempt = await attemptJob(worker, { ...message, precautions }, signal);
    switch (attempt.kind) {
      case 'decided':
        return announceJob(worker, message, attempt.decision, signal);
      case 'put off':
        precautions = precautionsAfter(precautions, attempt.error);
        reportUnreadable(worker, message, attempt.error);
        if (await standAside(worker, { ...message, precautions }, attempt, signal)) continue;
        return putBack(worker, { ...(attempt.counted ?? message), precautions }, attempt.error, signal);
      case 'given back':
      case 'moved':
        return attempt;
    }
  }
}

/** Reports it immediately, because the message may wait here for minutes before it is put back. */
function reportUnreadable({ parts }: Worker, { delivery, job }: Message, error: Error): void {
  if (isUnreadable(error)) parts.observer.unreadable(delivery, error, job.jobId);
}

const isUnreadable = (error: Error) => error instanceof JobError && error.code === 'RECORD_UNREADABLE';

async function announceJob(
  worker: Worker,
  message: Message,
  decision: Decision,
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = await announce(worker, message, decision, signal);
  const { completion, replay, inferenceSeconds } = decision;
  if (outcome.kind === 'announced' && completion.status === 'succeeded' && !replay && inferenceSeconds) {
    worker.parts.offerShadow({ job: message.job, completion, inferenceSeconds });
  }
  return outcome;
}

/** One try at a job. Each step returns an outcome, or nothing if the next step should run. */
async function attemptJob(worker: Worker, message: Message, signal: AbortSignal): Promise<AttemptResult> {
  const counted = await lookUp(worker, message, signal);
  if ('kind' in counted) return counted;
  const attempt = await runInTurn(worker, counted, signal);
  return attempt.kind === 'put off' ? { ...attempt, counted } : attempt;
}

/**
 * Asks storage what is known of the job. A try that fails leaves its slot before the next one, so that messages whose
 * objects cannot be read do not keep the others from theirs.
 * @returns how the job has already ended or was put off; otherwise the message with its attempts counted
 */
async function lookUp(worker: Worker, message: Message, signal: AbortSignal): Promise<Message | AttemptResult> {
  const { parts, options } = worker;
  const once = { ...worker, parts: { ...parts, store: parts.singleTryStore } };
  const ask = async () => (await recallJob(once, message, signal)) ?? (await countAttempts(once, message, signal));
  const askInTurn = () => worker.lookUps(message.job, signal, ask);
  return withRetries(askInTurn, options.lookUp, signal).catch(interruptedRecall);
}

const interruptedRecall = (thrown: unknown) => interrupted(thrown, 'recall');

async function runInTurn(worker: Worker, message: Message, signal: AbortSignal): Promise<AttemptResult> {
  const { job, delivery } = message;
  // A job whose attempts are used up computes nothing, so it needs no place.
  if (delivery.attempt > worker.options.maxAttempts) return runAttempt(worker, message, undefined, signal);
  const alone = mustBeAlone(message);
  const { jobId, priority, tenant } = job;
  const model = job.operations[0]?.model ?? '';
  const entry = await worker.parts.intake.enter({ jobId, model, priority, tenant, alone });
  if (entry.kind === 'turned away') return turnedAway(delivery, entry.reason);
  addEvent('in work');
  const inside = alone ? withoutWaiting(worker) : worker;
  try {
    const stale = entry.met || entry.waitedMs > RECALL_AGAIN_MS;
    const known = stale ? await recallJob(inside, message, signal).catch(interruptedRecall) : undefined;
    if (known) return known;
    // An attempt that only finds a need away must not count, so it leaves no marker.
    const refusal = refusalOf(inside, message);
    const unmarked = refusal ? undefined : await beginAttempt(inside, message, signal);
    if (unmarked) return unmarked;
    const attempt = await runAttempt(inside, message, refusal, signal);
    return attempt.kind === 'put off' ? { ...attempt, marked: !refusal && message.raw.attempt > 1 } : attempt;
  } finally {
    entry.leave();
  }
}

const mustBeAlone = ({ delivery, precautions }: Message) =>
  delivery.attempt >= ALONE_FROM_ATTEMPT || precautions.alone === true;

/** The worker takes no more jobs. Giving a message back counts as an attempt, which does no harm the first time. */
function turnedAway(delivery: Delivery, error: GivenBack): AttemptResult {
  return delivery.attempt <= 1 ? { kind: 'given back', error } : { kind: 'put off', error };
}

/**
 * Checks whether the job has already ended. It needs no place, so that a job with a record waits for no other job.
 * @throws JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE`
 */
async function recallJob(worker: Worker, message: Message, signal: AbortSignal): Promise<AttemptResult | undefined> {
  const { parts, options } = worker;
  const { job, needs } = message;
  const state = needs.filter((need) => need.kind === 'bucket').slice(0, 1);
  const broken = parts.availability.broken(state);
  if (broken) return { kind: 'put off', error: unavailable(broken, 'recall') };
  const marked = { jobId: job.jobId, raw: message.raw };
  if (await wasMoved(parts.store, options.statePrefix, marked, signal)) return { kind: 'moved' };
  const record = await inSpan('recall', {}, () => recall(parts.store, options.statePrefix, job.jobId, signal));
  return record && { kind: 'decided', decision: fromRecord(message, record, true) };
}

/**
 * Counts the attempts that have begun, by their attempt markers. Pub/Sub counts all deliveries, and dead-letters a message
 * after somewhat more deliveries than a job has attempts. If the deliveries are used up but the job's own attempts are not,
 * the message is put back as a new one.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
async function countAttempts(worker: Worker, message: Message, signal: AbortSignal): Promise<Message | AttemptResult> {
  const { statePrefix, maxAttempts } = worker.options;
  const { delivery, raw, job } = message;
  const begun = await countAttemptMarkers(worker.parts.store, statePrefix, { jobId: job.jobId, raw }, signal);
  const attempt = delivery.attempt + begun;
  addAttributes(() => ({ 'imagen.attempt': attempt }));
  const counted = { ...message, delivery: { ...delivery, attempt } };
  if (attempt > maxAttempts || !isSpent(raw, maxAttempts)) return counted;
  const error = new DeliveriesSpent(`${attempt - 1} attempts have begun in ${raw.attempt - 1} deliveries`);
  return { kind: 'put off', error, counted };
}

/** @returns why the job cannot be worked on now, if one of its needs is away */
function refusalOf({ parts }: Worker, { needs }: Message): JobError | undefined {
  const refused = parts.availability.refuse(needs);
  return refused && unavailable(refused, 'route');
}

/** Leaves an attempt marker, so that the attempt counts even if the worker dies before it reports an outcome. */
async function beginAttempt(
  worker: Worker,
  { job, raw }: Message,
  signal: AbortSignal,
): Promise<AttemptResult | undefined> {
  const { statePrefix } = worker.options;
  try {
    await inSpan('begin', {}, () =>
      leaveAttemptMarker(worker.parts.store, statePrefix, { jobId: job.jobId, raw }, signal),
    );
    return undefined;
  } catch (thrown) {
    return interruptedRecall(thrown);
  }
}

/**
 * Waits without a place while a need of the job is away, so that other jobs go on. If all needs seem to work, either only
 * this job's object or version is away, or a check has not answered yet. Then the job pauses and is put back; without a
 * pause it would return at once. A job whose error costs an attempt also pauses first: its model needs some seconds to
 * reload, and the next worker would count the same crash twice.
 * @returns whether to try the job again here
 */
async function standAside(
  worker: Worker,
  message: Message,
  { error, marked, counted = message }: PutOff,
  signal: AbortSignal,
): Promise<boolean> {
  const { availability, waitingRoom, intake } = worker.parts;
  const { maxAttempts, suspectPauseMs } = worker.options;
  if (!(error instanceof JobError) || isSpent(message.raw, maxAttempts)) return false;
  // Its marker would count if the worker died while the job waits. Its copy has none.
  if (marked && !error.costsAttempt) return false;
  const unreadable = isUnreadable(error);
  const broken = availability.broken(message.needs);
  // A deadline that has already passed cannot end the job while its record is unreadable, so it does not shorten the wait.
  const { deadline } = message.job;
  const ahead = deadline !== undefined && Date.parse(deadline) > Date.now();
  const limit = timeLimit(ahead ? { deadline } : {}, [signal, intake.closing]);
  const otherwiseMs = broken ? 0 : pauseAfter(deferralsOf(message.raw));
  const pauseMs = error.costsAttempt ? suspectPauseMs : unreadable ? UNREADABLE_PAUSE_MS : otherwiseMs;
  const hindrance = {
    needs: error.costsAttempt ? [] : message.needs,
    pauseMs,
    alone: mustBeAlone(counted),
  };
  const how = await waitingRoom.wait(hindrance, message.arrivedAt, limit.signal);
  limit.clear();
  if (how === 'go on') return !error.costsAttempt && (unreadable || broken !== undefined);
  // If the deadline has passed, the next attempt ends the job.
  return how === 'interrupted' && !signal.aborted && !intake.closing.aborted;
}

const pauseAfter = (deferrals: number) => Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** deferrals);

/** The answer to Pub/Sub. */
function settleMessage(
  { parts }: Worker,
  { raw, delivery }: Received,
  outcome: Outcome,
  jobId: string | undefined,
): Settlement {
  switch (outcome.kind) {
    case 'announced':
      return 'ack';
    case 'moved':
      addEvent('put back before');
      return 'ack';
    case 'put back':
      markFailed(outcome.error);
      addEvent('put back into the queue');
      parts.observer.putBack(delivery, outcome.error, jobId);
      return 'ack';
    case 'given back':
      markFailed(outcome.error);
      parts.observer.givenBack(raw, outcome.error, jobId);
      return 'nack';
  }
}

/** Handles a bug in a step that should have returned a value. */
function unexpected(thrown: unknown): Outcome {
  return { kind: 'given back', error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
}
