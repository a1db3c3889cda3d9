/** One attempt at the work of a job, up to its record. */
import type { Completion } from '../domain/completion.js';
import { ERRORS, GivenBack, JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { asShortage } from '../pipeline/codec.js';
import { JobContext } from '../pipeline/job-context.js';
import { recall } from '../records/recall.js';
import { decide } from '../records/decide.js';
import { requestFrom } from '../records/request.js';
import { JobState } from '../pipeline/job-state.js';
import { jobSteps, runSteps } from '../pipeline/run.js';
import { inSpan } from '../tracing/spans.js';
import { withPrecautions } from './precautions.js';
import { completionOf } from './complete.js';
import { reportStep, type Worker } from './context.js';
import { timeLimit } from './deadline.js';
import { lastErrorOf, publishersAttributes } from './defer.js';
import type { Message } from './message.js';
import { outageBehind } from './outage-behind.js';
import { type AttemptResult, fromRecord, interrupted, type Worked } from './outcome.js';
import { absenceOf } from './put-back.js';
import { attemptsExhausted, endOrPutOff } from './end-or-put-off.js';
import { watchRecord } from './watch-record.js';

/** From this attempt on a job runs alone. If it kills its worker, it then harms no other job. */
export const ALONE_FROM_ATTEMPT = 3;

/**
 * Does the job and records how it ended, unless the job ends elsewhere in the meantime.
 * @param refusal why it cannot be worked on now; it may still end, because its deadline has passed or it has been put off for too long
 */
export async function runAttempt(
  worker: Worker,
  message: Message,
  refusal: JobError | undefined,
  signal: AbortSignal,
): Promise<AttemptResult> {
  const { outcomeStore, parts } = worker;
  const { statePrefix, watchMs } = worker.options;
  const { job, delivery } = message;
  const watch = watchRecord((until) => recall(parts.store, statePrefix, job.jobId, until), watchMs);
  try {
    const worked = await work(worker, message, refusal, [signal, watch.signal]);
    if (worked.kind !== 'ended') {
      const found = watch.found();
      return found ? { kind: 'decided', decision: fromRecord(message, found, true) } : worked;
    }
    const holding = await inSpan('record', {}, () =>
      decide(outcomeStore, statePrefix, job.jobId, worked.record, signal),
    );
    reportStep(job.jobId, delivery, 'record');
    const decision = fromRecord(message, holding.record, !holding.ours);
    const { last, inferenceSeconds } = worked;
    return { kind: 'decided', decision: { ...decision, last, inferenceSeconds } };
  } catch (thrown) {
    return interrupted(thrown, 'record');
  } finally {
    watch.stop();
  }
}

/** Does the job, or finds out why it cannot be done. It announces nothing. */
async function work(
  worker: Worker,
  message: Message,
  refusal: JobError | undefined,
  outer: readonly AbortSignal[],
): Promise<Worked> {
  const { parts, options } = worker;
  const { job, fingerprint, delivery, raw } = message;
  const limit = timeLimit(job, outer);
  const { signal } = limit;
  const queuedMs = Date.now() - delivery.publishedAt.getTime();
  const context = new JobContext(signal, queuedMs, (step) => reportStep(job.jobId, delivery, step));
  const end = (status: Completion['status'], error?: JobError): Worked => {
    parts.waitingRoom.passed();
    const how = { status, ...(error ? { error } : {}) };
    const completion = completionOf(job, fingerprint, delivery, context, how, options.worker);
    const deadLetter = error !== undefined && ERRORS[error.code].verdict === 'reject';
    const model = job.operations.at(-1)?.model;
    const record = { fingerprint, ...(model === undefined ? {} : { model }), ...(deadLetter ? { deadLetter } : {}) };
    const request = requestFrom(delivery.data, publishersAttributes(delivery), delivery.orderingKey);
    const { last, inferenceSeconds } = context;
    return { kind: 'ended', record: { ...record, completion, request }, last, inferenceSeconds };
  };
  try {
    const spent = attemptsExhausted(delivery.attempt, options.maxAttempts, lastErrorOf(raw));
    if (spent) return end('failed', spent);
    context.checkTime('recall');
    if (refusal) throw refusal;
    const store: ObjectStore = { ...parts.store, create: (...how) => worker.outcomeStore.create(...how) };
    const schedule = withPrecautions(parts.share.scheduler(job), message.precautions);
    const state = new JobState(job, context, { models: parts.models, schedule, store, fingerprint }, options.pipeline);
    await runSteps(jobSteps(job), state);
    // The deadline holds until the record exists: a result that is not announced has not succeeded yet.
    limit.check();
    context.checkTime('record');
    return end('succeeded');
  } catch (thrown) {
    if (thrown instanceof GivenBack) return { kind: 'given back', error: thrown };
    const failure = JobError.from(asShortage(thrown), 'infer');
    const late = failure.code === 'EXECUTION_TIMEOUT' && signal.aborted;
    const error = (late ? await outageBehind(worker, message, context, failure.stage) : undefined) ?? failure;
    const { awayMs } = absenceOf(worker, message, error);
    const verdict = endOrPutOff(error, { awayMs, maxDeferredMs: options.maxDeferredMs });
    return verdict.kind === 'end' ? end(verdict.status, verdict.error) : { kind: 'put off', error };
  } finally {
    limit.clear();
  }
}
