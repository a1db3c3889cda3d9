/** How the processing of one message ends, and what it has come to on the way: values, since none of it is exceptional. */
import type { Completion } from '../domain/completion.js';
import { ERRORS, GivenBack, JobError, type Stage } from '../domain/errors.js';
import type { JobRecord } from '../records/record.js';
import { completionWithoutRecord } from './complete.js';
import type { Choice } from '../pipeline/job-context.js';
import type { Decision } from './decision.js';
import type { Message } from './message.js';

/** What one attempt at a job has come to. */
export type Attempt =
  | { readonly kind: 'decided'; readonly decision: Decision }
  | PutOff
  /** A copy of the message is in the queue already: this delivery is one too many. */
  | { readonly kind: 'moved' }
  /** The worker is stopping. */
  | { readonly kind: 'given back'; readonly error: GivenBack };

/** The job cannot be done now. */
export interface PutOff {
  readonly kind: 'put off';
  readonly error: Error;
  /** The message with its attempts counted; absent where they could not be. */
  readonly counted?: Message;
}

/** What the work on a job has come to, before anybody has been told. */
export type Worked =
  | { readonly kind: 'ended'; readonly record: JobRecord; readonly last: Choice | undefined }
  | { readonly kind: 'put off'; readonly error: JobError }
  | { readonly kind: 'given back'; readonly error: GivenBack };

/** What has become of a message. All but the last are acked. */
export type Outcome =
  /** Its completion was published. */
  | { readonly kind: 'announced' }
  /** A copy of it is in the queue. */
  | { readonly kind: 'put back'; readonly error: Error }
  | { readonly kind: 'moved' }
  | { readonly kind: 'given back'; readonly error: Error };

/** A step was broken off: by the worker's stop, or by what is never the job's own fault. */
export function interrupted(thrown: unknown, stage: Stage): Attempt {
  if (thrown instanceof GivenBack) return { kind: 'given back', error: thrown };
  return { kind: 'put off', error: JobError.from(thrown, stage) };
}

/** What a record says to a message: its outcome, or that the id is taken by another job. */
export function fromRecord({ job, fingerprint, delivery }: Message, record: JobRecord, replay: boolean): Decision {
  if (record.fingerprint !== fingerprint && record.fingerprint !== null) {
    const error = new JobError('JOB_ID_REUSED', `jobId ${job.jobId} stands for another job already`);
    const completion = completionWithoutRecord(job, delivery, error);
    return { completion, model: job.operations.at(-1)?.model, deadLetter: false, replay: false };
  }
  const { completion, model } = record;
  return { completion, model, deadLetter: record.deadLetter ?? isRejected(completion), replay };
}

/** For records of workers before 0.2. A code that this worker does not know has no dead letter that it knows of. */
function isRejected({ error }: Completion): boolean {
  return error !== undefined && Object.hasOwn(ERRORS, error.code) && ERRORS[error.code].verdict === 'reject';
}
