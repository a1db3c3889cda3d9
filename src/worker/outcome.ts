/** The outcomes of processing one message and of its steps. They are values, since none of them is exceptional. */
import type { Completion } from '../domain/completion.js';
import { ERRORS, GivenBack, JobError, type Stage } from '../domain/errors.js';
import type { JobRecord } from '../records/record.js';
import { completionWithoutRecord } from './complete.js';
import { asShortage } from '../pipeline/codec.js';
import type { Broken } from '../scheduling/availability.js';
import type { Decision } from './decision.js';
import type { Message } from './message.js';

/** Result of one attempt at a job. */
export type AttemptResult =
  | { readonly kind: 'decided'; readonly decision: Decision }
  | PutOff
  /** A copy of the message is already in the queue, so this delivery is redundant. */
  | { readonly kind: 'moved' }
  /** The worker is stopping. */
  | { readonly kind: 'given back'; readonly error: GivenBack };

/** The job cannot be done now. */
export interface PutOff {
  readonly kind: 'put off';
  readonly error: Error;
  /** The message with its attempts counted; absent if they could not be counted. */
  readonly counted?: Message;
  /** The attempt has left a marker. */
  readonly marked?: boolean;
}

/** Result of the work on a job, before it is announced. */
export type Worked =
  | ({ readonly kind: 'ended'; readonly record: JobRecord } & Pick<Decision, 'last' | 'inferenceSeconds'>)
  | { readonly kind: 'put off'; readonly error: JobError }
  | { readonly kind: 'given back'; readonly error: GivenBack };

/** Outcome of a message. All but the last are acked. */
export type Outcome =
  /** Its completion was published. */
  | { readonly kind: 'announced' }
  /** A copy of it is in the queue. */
  | { readonly kind: 'put back'; readonly error: Error }
  | { readonly kind: 'moved' }
  | { readonly kind: 'given back'; readonly error: Error };

/** A step was interrupted, by the worker's stop or by an error that is never the job's own fault. */
export function interrupted(thrown: unknown, stage: Stage): AttemptResult {
  if (thrown instanceof GivenBack) return { kind: 'given back', error: thrown };
  return { kind: 'put off', error: JobError.from(asShortage(thrown), stage) };
}

/** The error of a job whose need is known to be away. */
export function unavailable({ need, reason }: Broken, stage: Stage): JobError {
  const code = need.kind === 'model' ? 'MODEL_UNAVAILABLE' : 'STORAGE_UNAVAILABLE';
  return new JobError(code, reason, { stage, needs: need });
}

/** What a record means for a message: its outcome, or that the id belongs to another job. */
export function fromRecord({ job, fingerprint, delivery }: Message, record: JobRecord, replay: boolean): Decision {
  if (record.fingerprint !== fingerprint && record.fingerprint !== null) {
    const error = new JobError('JOB_ID_REUSED', `jobId ${job.jobId} stands for another job already`);
    const completion = completionWithoutRecord(job, delivery, error);
    return { completion, model: job.operations.at(-1)?.model, deadLetter: false, recorded: false, replay: false };
  }
  const { completion, model } = record;
  return { completion, model, deadLetter: record.deadLetter ?? isRejected(completion), recorded: true, replay };
}

/** For records of workers before 0.2. An error code that this worker does not know counts as one without a dead letter. */
function isRejected({ error }: Completion): boolean {
  return error !== undefined && Object.hasOwn(ERRORS, error.code) && ERRORS[error.code].verdict === 'reject';
}
