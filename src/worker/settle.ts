import type { Status } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';

/** What becomes of a message whose job could not be finished. */
export type Outcome =
  /** Something that the job needs is down: put off, without an attempt counted. */
  | { readonly kind: 'defer' }
  | {
      readonly kind: 'end';
      readonly status: Exclude<Status, 'succeeded'>;
      readonly error: JobError;
    };

/**
 * The verdict table: a pure function of the error and of how long the job has been put off.
 * @param deferredMs since it was first put off
 * @param maxDeferredMs how long it may be
 */
export function settle(error: JobError, deferredMs: number, maxDeferredMs: number): Outcome {
  switch (error.verdict) {
    case 'fail':
    case 'reject':
    case 'retry-then-fail': // its attempts in place are used up
      return { kind: 'end', status: 'failed', error };
    case 'expire':
      return { kind: 'end', status: 'expired', error };
    case 'defer':
      return deferredMs < maxDeferredMs
        ? { kind: 'defer' }
        : { kind: 'end', status: 'failed', error: exhausted(error, `${Math.round(deferredMs / 1000)} s`) };
  }
}

/**
 * A delivery beyond the budget is not worked on: earlier ones ended without any worker living to say why, or could not
 * publish what they wanted to say. An attempt of 0 means that the subscription does not count.
 * @returns undefined when the budget is not used up
 */
export function overBudget(
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
