import type { Status } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';

/** What happens to a job that could not be finished. */
export type EndOrPutOff =
  /** Something that the job needs is away, or the cause is unknown. */
  | { readonly kind: 'put off' }
  | {
      readonly kind: 'end';
      readonly status: Exclude<Status, 'succeeded'>;
      readonly error: JobError;
    };

export interface Patience {
  /** How long a need of the job has been continuously away, in milliseconds. */
  readonly awayMs: number;
  /** How long it may be away, in milliseconds. */
  readonly maxDeferredMs: number;
}

/** The verdict, a pure function of the error and of how long what the job needs has been away. */
export function endOrPutOff(error: JobError, { awayMs, maxDeferredMs }: Patience): EndOrPutOff {
  switch (error.verdict) {
    case 'fail':
    case 'reject':
    case 'retry-then-fail': // its attempts in place are used up
      return { kind: 'end', status: 'failed', error };
    case 'expire':
      return { kind: 'end', status: 'expired', error };
    case 'defer':
      return awayMs < maxDeferredMs
        ? { kind: 'put off' }
        : { kind: 'end', status: 'failed', error: exhausted(error, `${Math.round(awayMs / 1000)} s`) };
  }
}

/**
 * Returns an error for a delivery beyond the job's attempts, which is not worked on. Either earlier attempts ended without a
 * worker that could report why, or each ended with an error that the job itself may have caused. An attempt of 0 means that
 * the subscription does not count.
 * @returns undefined while attempts are left
 */
export function attemptsExhausted(
  attempt: number,
  maxAttempts: number,
  lastError: JobError | undefined,
): JobError | undefined {
  if (attempt <= maxAttempts) return undefined;
  if (lastError) return exhausted(lastError, `${attempt - 1} attempts`);
  return new JobError('WORKER_LOST', `${attempt - 1} attempts ended without an outcome`);
}

function exhausted(last: JobError, spent: string): JobError {
  return new JobError('RETRIES_EXHAUSTED', `after ${spent}: ${last.code}: ${last.message}`, {
    cause: last,
    stage: last.stage,
  });
}
