/**
 * The life of one message: parse, recall, work, record, publish, ack — in this order, always. No message is acked
 * before somebody else can see its outcome, and nobody but this function's answer acks.
 */
import { type Completion, completionAttributes, completionBytes } from '../domain/completion.js';
import { ERRORS, GivenBack, JobError } from '../domain/errors.js';
import { fingerprint as fingerprintOf } from '../domain/fingerprint.js';
import { type Job, parseJob, salvageJobId } from '../domain/job.js';
import type { Delivery, ObjectStore, Publisher, Settlement } from '../domain/ports.js';
import type { JobRecord } from '../domain/record.js';
import { Journey } from '../pipeline/journey.js';
import { recall } from '../pipeline/recall.js';
import { decide } from '../pipeline/record.js';
import { type PipelineOptions, type PipelineParts, runJob } from '../pipeline/run.js';
import { type StepDone, stepDone } from '../pipeline/steps.js';
import { completionOf, completionOfReusedId, completionOfUnreadable } from './complete.js';
import { deadLetterAttributes } from './dead-letter.js';
import { timeLimit } from './deadline.js';
import type { FairShare } from './fair-share.js';
import type { Intake } from './intake.js';
import { createLastErrors } from './last-errors.js';
import { overBudget, settle } from './settle.js';

export interface HandlerParts extends PipelineParts {
  readonly store: ObjectStore;
  readonly completions: Publisher;
  readonly deadLetters: Publisher;
  readonly intake: Intake;
  readonly share: FairShare;
  readonly observer: Observer;
}

export interface HandlerOptions {
  readonly statePrefix: string;
  readonly maxAttempts: number;
  /** How this worker signs its completions. */
  readonly worker: string;
  readonly pipeline: PipelineOptions;
}

/** Told of every message's end; must not throw. */
export interface Observer {
  /** A completion was published. `replay`: it had been decided before this delivery. */
  ended(completion: Completion, about: { readonly model: string | undefined; readonly replay: boolean }): void;
  /** The message was given back; it will come again. */
  givenBack(delivery: Delivery, error: Error): void;
}

interface Decision {
  readonly completion: Completion;
  readonly model: string | undefined;
  readonly replay: boolean;
}

/** @returns the handler for a JobSource; it never throws */
export function createHandler(parts: HandlerParts, options: HandlerOptions) {
  const { store, intake, observer } = parts;
  const lastErrors = createLastErrors();

  return async function handle(delivery: Delivery, signal: AbortSignal): Promise<Settlement> {
    try {
      const decision = await decideOn(delivery, signal);
      await announce(decision, delivery);
      return 'ack';
    } catch (thrown) {
      observer.givenBack(delivery, thrown instanceof Error ? thrown : new Error(String(thrown)));
      return 'nack';
    }
  };

  /** @throws whatever means "not now": the message is then given back */
  async function decideOn(delivery: Delivery, signal: AbortSignal): Promise<Decision> {
    let job: Job;
    try {
      job = parseJob(delivery.data);
    } catch (thrown) {
      const error = JobError.from(thrown, 'parse');
      const completion = completionOfUnreadable(delivery, salvageJobId(delivery.data), error);
      return { completion, model: undefined, replay: false };
    }
    const leave = await intake.enter(job.jobId, job.operations[0]?.model ?? '');
    try {
      return await decideOnJob(job, delivery, signal);
    } finally {
      leave();
    }
  }

  async function decideOnJob(job: Job, delivery: Delivery, signal: AbortSignal): Promise<Decision> {
    const fingerprint = fingerprintOf(job);
    const known = await recall(store, options.statePrefix, job.jobId, signal);
    if (known) return fromRecord(job, fingerprint, delivery, known, true);

    const record = await work(job, fingerprint, delivery, signal);
    const holding = await decide(store, options.statePrefix, job.jobId, record, signal);
    done(job.jobId, delivery, 'record');
    return fromRecord(job, fingerprint, delivery, holding.record, !holding.ours);
  }

  /** Does the job, or finds out why not. @throws GivenBack or JobError when it should be tried again later */
  async function work(job: Job, fingerprint: string, delivery: Delivery, outer: AbortSignal): Promise<JobRecord> {
    const { signal, clear } = timeLimit(job, outer);
    const journey = new Journey(signal, Date.now() - delivery.publishedAt.getTime(), (stage) =>
      done(job.jobId, delivery, stage),
    );
    const model = job.operations.at(-1)?.model;
    const end = (status: Completion['status'], error?: JobError): JobRecord => ({
      fingerprint,
      ...(model === undefined ? {} : { model }),
      completion: completionOf(
        job,
        fingerprint,
        delivery,
        journey,
        { status, ...(error ? { error } : {}) },
        options.worker,
      ),
    });
    try {
      const spent = overBudget(delivery.attempt, options.maxAttempts, lastErrors.get(job.jobId));
      if (spent) throw spent;
      await runJob(job, fingerprint, journey, parts.share.lane(job), parts, options.pipeline);
      // The deadline holds until the record: a result that nobody has been told of has not succeeded yet.
      journey.checkTime('record');
      return end('succeeded');
    } catch (thrown) {
      if (thrown instanceof GivenBack) throw thrown;
      const error = JobError.from(thrown, 'infer');
      const outcome = settle(error, delivery.attempt, options.maxAttempts);
      if (outcome.kind === 'again') {
        lastErrors.set(job.jobId, error);
        throw error;
      }
      return end(outcome.status, outcome.error);
    } finally {
      clear();
    }
  }

  /** What the record says to this message: its outcome, or that the id is taken by another job. */
  function fromRecord(job: Job, fingerprint: string, delivery: Delivery, record: JobRecord, replay: boolean): Decision {
    if (record.fingerprint === fingerprint || record.fingerprint === null) {
      return { completion: record.completion, model: record.model, replay };
    }
    const error = new JobError('JOB_ID_REUSED', `jobId ${job.jobId} stands for another job already`);
    const completion = completionOfReusedId(job, delivery, error);
    return { completion, model: job.operations.at(-1)?.model, replay: false };
  }

  /** Dead letter first, then completion: both before the ack, and both again if a worker dies in between. */
  async function announce({ completion, model, replay }: Decision, delivery: Delivery): Promise<void> {
    const { error } = completion;
    if (error && ERRORS[error.code].verdict === 'reject') {
      await parts.deadLetters.publish(delivery.data, deadLetterAttributes(delivery, completion));
    }
    await parts.completions.publish(completionBytes(completion), completionAttributes(completion, model));
    done(completion.jobId, delivery, 'publish');
    observer.ended(completion, { model, replay });
  }
}

function done(jobId: string | undefined, { attempt }: Delivery, step: StepDone['step']): void {
  if (jobId !== undefined) stepDone.publish({ jobId, attempt, step } satisfies StepDone);
}
