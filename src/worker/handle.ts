/**
 * The life of one message: parse, recall, work, record, publish, ack — in this order, always. No message is acked
 * before somebody else can see its outcome, or a copy of it is in the queue again; and nobody but this function's answer
 * acks.
 */
import { type Completion, completionAttributes, completionBytes } from '../domain/completion.js';
import { ERRORS, GivenBack, JobError } from '../domain/errors.js';
import { fingerprint as fingerprintOf } from '../domain/fingerprint.js';
import { type Job, parseJob, salvageJobId } from '../domain/job.js';
import type { Delivery, ObjectStore, Publisher, Settlement } from '../domain/ports.js';
import type { JobRecord } from '../domain/record.js';
import { type Choice, Journey } from '../pipeline/journey.js';
import { recall } from '../pipeline/recall.js';
import { decide } from '../pipeline/record.js';
import { type PipelineOptions, type PipelineParts, runJob } from '../pipeline/run.js';
import { type StepDone, stepDone } from '../pipeline/steps.js';
import { annotate, failed, happened, inSpan } from '../spans.js';
import { attemptsBegun, markBegun } from './begun.js';
import type { Circuits } from './circuits.js';
import { completionOf, completionOfUnreadable, completionWithoutRecord } from './complete.js';
import { deadLetterAttributes } from './dead-letter.js';
import { timeLimit } from './deadline.js';
import { deferredAttributes, deferredForMs, undeferred } from './defer.js';
import type { FairShare } from './fair-share.js';
import type { Intake } from './intake.js';
import { createLastErrors } from './last-errors.js';
import type { Parking } from './parking.js';
import { overBudget, settle } from './settle.js';
import { watchRecord } from './watch-record.js';

export interface HandlerParts extends PipelineParts {
  readonly store: ObjectStore;
  /** Where messages are put back whose job cannot be done now. */
  readonly jobs: Publisher;
  readonly completions: Publisher;
  readonly deadLetters: Publisher;
  readonly intake: Intake;
  readonly circuits: Pick<Circuits, 'broken' | 'refuse'>;
  readonly parking: Parking;
  readonly share: FairShare;
  readonly observer: Observer;
}

export interface HandlerOptions {
  readonly statePrefix: string;
  readonly maxAttempts: number;
  /** How long a job may be put off, in milliseconds from the first time. */
  readonly maxDeferredMs: number;
  /** Between two looks whether a job in work has ended elsewhere, in milliseconds. */
  readonly watchMs: number;
  /** How this worker signs its completions. */
  readonly worker: string;
  readonly pipeline: PipelineOptions;
}

/** Told of every message's receipt and end; must not throw. */
export interface Observer {
  received(delivery: Delivery): void;
  /** A completion was published. */
  ended(end: Ending): void;
  /** A dead letter was published; what goes with it is still to come. */
  deadLettered(completion: Completion): void;
  /** A copy of the message was put back into the queue. */
  deferred(delivery: Delivery, error: Error): void;
  /** The message was given back; it will come again. */
  givenBack(delivery: Delivery, error: Error): void;
}

/** A job's end, and what its completion does not tell. */
export interface Ending extends Decision {
  readonly delivery: Delivery;
  /** From the receipt of the delivery, in milliseconds. */
  readonly tookMs: number;
  /** Of that, publishing the completion and, if there is one, the dead letter. */
  readonly publishMs: number;
}

/** From this attempt on a job is worked on alone: if it is what kills its worker, nobody else shall pay for it again. */
const SUSPECT_ATTEMPT = 3;

interface Decision {
  readonly completion: Completion;
  /** Of the last operation, as asked for. */
  readonly model: string | undefined;
  /** What was chosen for the last operation, where this delivery came as far as that. */
  readonly last?: Choice | undefined;
  /** It had been decided before this delivery. */
  readonly replay: boolean;
}

/** @returns the handler for a JobSource; it never throws */
export function createHandler(parts: HandlerParts, options: HandlerOptions) {
  const { store, intake, circuits, parking, observer } = parts;
  const lastErrors = createLastErrors();

  return async function handle(delivery: Delivery, signal: AbortSignal): Promise<Settlement> {
    const arrivedAt = performance.now();
    observer.received(delivery);
    try {
      let job: Job;
      try {
        job = parseJob(delivery.data);
      } catch (thrown) {
        await announce(unreadable(delivery, JobError.from(thrown, 'parse')), delivery, arrivedAt);
        return 'ack';
      }
      await finish(job, delivery, arrivedAt, signal);
      return 'ack';
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      failed(error);
      observer.givenBack(delivery, error);
      return 'nack';
    }
  };

  /** Until the job has ended or a copy of its message is in the queue. @throws whatever means that neither is so */
  async function finish(job: Job, given: Delivery, arrivedAt: number, signal: AbortSignal): Promise<void> {
    const delivery = undeferred(given);
    const names = job.operations.map(({ model }) => model);
    annotate(() => ({ 'imagen.job_id': job.jobId, 'imagen.models': names, 'imagen.attempt': delivery.attempt }));
    for (;;) {
      let leave: () => void;
      try {
        leave = await intake.enter(job.jobId, names[0] ?? '', delivery.attempt >= SUSPECT_ATTEMPT);
        happened('in work');
      } catch (thrown) {
        // The worker is stopping. To be given back counts as an attempt: once, that does not matter.
        if (delivery.attempt <= 1) throw thrown;
        return defer(job, delivery, thrown as Error);
      }
      let error: JobError;
      try {
        const decision = await decideOnJob(job, given, delivery, signal);
        await announce(decision, delivery, arrivedAt);
        return;
      } catch (thrown) {
        if (thrown instanceof Unbegun) {
          await defer(job, { ...delivery, attempt: thrown.attempt }, thrown);
          return;
        }
        if (!(thrown instanceof JobError) || thrown.verdict !== 'defer') throw thrown;
        error = thrown;
      } finally {
        leave();
      }
      // Without its place: this is where the jobs of a model that is down let the others pass.
      const waited = circuits.broken(names) ? await standAside(job, names, arrivedAt, signal) : 'sent off';
      if (waited === 'sent off') return defer(job, delivery, error);
    }
  }

  async function standAside(job: Job, names: readonly string[], since: number, signal: AbortSignal) {
    const limit = timeLimit({ deadline: job.deadline }, AbortSignal.any([signal, intake.closing]));
    try {
      return await parking.wait(names, since, limit.signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return thrown instanceof GivenBack ? 'sent off' : 'go on'; // the worker is stopping; the deadline has passed
    } finally {
      limit.clear();
    }
  }

  /** @throws Error of the publisher: the message is then given back, which counts as an attempt */
  async function defer(job: Job, delivery: Delivery, error: Error): Promise<void> {
    if (error instanceof JobError) lastErrors.set(job.jobId, error);
    await parts.jobs.publish(delivery.data, deferredAttributes(delivery));
    failed(error);
    happened('put back into the queue');
    observer.deferred(delivery, error);
  }

  /** @throws JobError of the verdict `defer`, Unbegun or GivenBack */
  async function decideOnJob(job: Job, given: Delivery, delivery: Delivery, signal: AbortSignal): Promise<Decision> {
    const fingerprint = fingerprintOf(job);
    const look = (until: AbortSignal) => recall(store, options.statePrefix, job.jobId, until);
    let known: JobRecord | undefined;
    try {
      known = await inSpan('recall', {}, () => look(signal));
    } catch (thrown) {
      const error = JobError.from(thrown, 'recall');
      if (signal.aborted || error.verdict === 'defer') throw thrown;
      // What stands in the record's place is no record. Nobody knows how the job ended, and no attempt will find out.
      return withoutRecord(job, given, error);
    }
    if (known) return fromRecord(job, fingerprint, given, known, true);
    await inSpan('begin', {}, () => begin(job, given, delivery, signal));

    const watch = watchRecord(look, options.watchMs);
    let worked: { readonly record: JobRecord; readonly last: Choice | undefined };
    try {
      worked = await work(job, fingerprint, delivery, AbortSignal.any([signal, watch.signal]));
    } catch (thrown) {
      const found = watch.found();
      if (found) return fromRecord(job, fingerprint, given, found, true);
      throw thrown;
    } finally {
      watch.stop();
    }
    const holding = await inSpan('record', {}, () =>
      decide(store, options.statePrefix, job.jobId, worked.record, signal),
    );
    done(job.jobId, delivery, 'record');
    return { ...fromRecord(job, fingerprint, given, holding.record, !holding.ours), last: worked.last };
  }

  /** @throws Unbegun when the deliveries are used up, but not by this job's own attempts */
  async function begin(job: Job, given: Delivery, delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { statePrefix, maxAttempts } = options;
    if (delivery.attempt <= maxAttempts) return markBegun(store, statePrefix, job.jobId, given, signal);
    const inFormerLives = delivery.attempt - given.attempt;
    const begun = inFormerLives + (await attemptsBegun(store, statePrefix, job.jobId, given, signal));
    if (begun < maxAttempts) throw new Unbegun(begun + 1, `${begun} of ${delivery.attempt - 1} attempts have begun`);
  }

  /** Does the job, or finds out why not. @throws GivenBack or JobError when it should be tried again later */
  async function work(job: Job, fingerprint: string, delivery: Delivery, outer: AbortSignal) {
    const limit = timeLimit(job, outer);
    const { signal } = limit;
    const journey = new Journey(signal, Date.now() - delivery.publishedAt.getTime(), (stage) =>
      done(job.jobId, delivery, stage),
    );
    const names = job.operations.map(({ model }) => model);
    const model = names.at(-1);
    const end = (status: Completion['status'], error?: JobError) => {
      const how = { status, ...(error ? { error } : {}) };
      const completion = completionOf(job, fingerprint, delivery, journey, how, options.worker);
      const record: JobRecord = { fingerprint, ...(model === undefined ? {} : { model }), completion };
      return { record, last: journey.last };
    };
    try {
      const spent = overBudget(delivery.attempt, options.maxAttempts, lastErrors.get(job.jobId));
      if (spent) throw spent;
      journey.checkTime('recall');
      const refused = circuits.refuse(names);
      if (refused) throw new JobError('MODEL_UNAVAILABLE', refused.reason, { stage: 'route' });
      parking.passed();
      await runJob(job, fingerprint, journey, parts.share.lane(job), parts, options.pipeline);
      // The deadline holds until the record: a result that nobody has been told of has not succeeded yet.
      limit.check();
      journey.checkTime('record');
      return end('succeeded');
    } catch (thrown) {
      if (thrown instanceof GivenBack) throw thrown;
      const error = JobError.from(thrown, 'infer');
      const outcome = settle(error, deferredForMs(delivery) ?? 0, options.maxDeferredMs);
      if (outcome.kind === 'defer') throw error;
      return end(outcome.status, outcome.error);
    } finally {
      limit.clear();
    }
  }

  /** What the record says to this message: its outcome, or that the id is taken by another job. */
  function fromRecord(job: Job, fingerprint: string, given: Delivery, record: JobRecord, replay: boolean): Decision {
    if (record.fingerprint === fingerprint || record.fingerprint === null) {
      return { completion: record.completion, model: record.model, replay };
    }
    const error = new JobError('JOB_ID_REUSED', `jobId ${job.jobId} stands for another job already`);
    return withoutRecord(job, given, error);
  }

  /** Dead letter first, then completion: both before the ack, and both again if a worker dies in between. */
  async function announce(decision: Decision, delivery: Delivery, arrivedAt: number): Promise<void> {
    const { completion, model, replay } = decision;
    const { error } = completion;
    const decidedAt = performance.now();
    if (error && ERRORS[error.code].verdict === 'reject') {
      await parts.deadLetters.publish(delivery.data, deadLetterAttributes(delivery, completion));
      observer.deadLettered(completion);
    }
    await parts.completions.publish(completionBytes(completion), completionAttributes(completion, model));
    done(completion.jobId, delivery, 'publish');
    annotate(() => ({ 'imagen.status': completion.status, 'imagen.replay': replay }));
    if (error) failed(error);
    const now = performance.now();
    observer.ended({ ...decision, delivery, tookMs: now - arrivedAt, publishMs: now - decidedAt });
  }
}

/** The message goes on in a new life, with as many attempts as have really been made. */
class Unbegun extends Error {
  override readonly name = 'Unbegun';

  /** @param attempt that this delivery is, if only those count that have begun */
  constructor(
    readonly attempt: number,
    message: string,
  ) {
    super(message);
  }
}

function withoutRecord(job: Job, delivery: Delivery, error: JobError): Decision {
  const completion = completionWithoutRecord(job, delivery, error);
  return { completion, model: job.operations.at(-1)?.model, replay: false };
}

function unreadable(delivery: Delivery, error: JobError): Decision {
  const completion = completionOfUnreadable(delivery, salvageJobId(delivery.data), error);
  return { completion, model: undefined, replay: false };
}

function done(jobId: string | undefined, { attempt }: Delivery, step: StepDone['step']): void {
  if (jobId !== undefined) stepDone.publish({ jobId, attempt, step } satisfies StepDone);
}
