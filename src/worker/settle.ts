import type { Status } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';

/** What becomes of a message whose job could not be finished. */
export type Outcome =
  | { readonly kind: 'again' }
  | {
      readonly kind: 'end';
      readonly status: Exclude<Status, 'succeeded'>;
      readonly error: JobError;
      readonly deadLetter: boolean;
    };

/**
 * The verdict table: a pure function of the error, the delivery attempt and the budget. An attempt of 0 means that the
 * subscription does not count, and then the budget never ends.
 */
export function settle(error: JobError, attempt: number, maxAttempts: number): Outcome {
  switch (error.verdict) {
    case 'fail':
    case 'retry-then-fail': // its attempts in place are used up
      return { kind: 'end', status: 'failed', error, deadLetter: false };
    case 'reject':
      return { kind: 'end', status: 'failed', error, deadLetter: true };
    case 'expire':
      return { kind: 'end', status: 'expired', error, deadLetter: false };
    case 'retry':
      return attempt < maxAttempts || attempt === 0
        ? { kind: 'again' }
        : { kind: 'end', status: 'failed', error: exhausted(error, attempt), deadLetter: true };
  }
}

/**
 * A delivery beyond the budget is not worked on: earlier ones ended without any worker living to say why.
 * @returns undefined when the budget is not used up
 */
export function overBudget(
  attempt: number,
  maxAttempts: number,
  lastError: JobError | undefined,
): JobError | undefined {
  if (attempt <= maxAttempts) return undefined;
  if (lastError) return exhausted(lastError, attempt - 1);
  return new JobError('WORKER_LOST', `${attempt - 1} attempts ended without an outcome`);
}

function exhausted(last: JobError, attempts: number): JobError {
  return new JobError('RETRIES_EXHAUSTED', `after ${attempts} attempts: ${last.code}: ${last.message}`, {
    cause: last,
    stage: last.stage,
  });
}
