import { JobError, type Unanswered } from '../domain/errors.js';
import { backoffMs, type RetryLimits } from '../pipeline/retry.js';
import type { Turn } from '../pipeline/transform.js';
import { isCause, type Sent } from './answer-history.js';

/** How to send one attempt at a request. */
export interface Sending extends Turn {
  /** Most requests of this kind that may be in flight together, including this one. */
  readonly together: number;
  readonly last: boolean;
  /** Other requests may be in its batch, or could have been in the batch of the first attempt. */
  readonly shared: boolean;
}

/** How an attempt ended without a result. */
export type Failure =
  /** The queue was full. */
  | { readonly kind: 'refused'; readonly error: JobError }
  /** The inference failed, perhaps because of another request of its batch. */
  | { readonly kind: 'failed'; readonly error: JobError; readonly aloneInWorker: boolean }
  /** No answer came. Another request of its batch may be the cause, or the server. */
  | { readonly kind: 'unanswered'; readonly error: JobError; readonly sent: Sent };

/** What else is known when an attempt has ended. */
export interface Circumstances {
  readonly turn: Sending;
  /** When the version last answered a request. */
  readonly answeredAt: number;
  /** The job would lose results, and can wait for a full queue. */
  readonly computed: boolean;
  /** When the job stops waiting in place, by `performance.now()`. */
  readonly giveUpAt: number;
}

/** The request may have another turn, after a pause in milliseconds. */
export interface Again {
  readonly kind: 'again';
  readonly pauseMs: number;
}
export type Next = Again | { readonly kind: 'end'; readonly error: JobError };
const again = (pauseMs: number): Next => ({ kind: 'again', pauseMs });
const end = (error: JobError): Next => ({ kind: 'end', error });

/** How long a job with computed requests waits for a queue that accepts nothing, in milliseconds. */
const KEEP_COMPUTED_MS = 600_000;
/**
 * Minimum attempts for a request that may share a batch: one with others and one without, to tell which request is at fault.
 */
const ATTEMPTS_TO_TELL = 2;
/** How many times a request must run out of memory alone before its picture counts as too large for the server. */
const SHORTAGES_TO_TELL = 2;

/** Turn after an out-of-memory error. Copies that fill the batch would need even more memory. */
const ALONE: Sending = { apart: true, copies: 1, together: 1, last: false, shared: true };

/**
 * How to send a request after that many failures.
 * @param batch requests that may share a batch, including this one; if one, every attempt runs alone
 */
function turnAfter(failures: number, batch: number, attempts: number): Sending {
  const shared = batch > 1;
  const together = Math.max(1, Math.floor(batch / 2 ** failures));
  const last = together === 1 && failures + 1 >= Math.max(attempts, shared ? ATTEMPTS_TO_TELL : 1);
  return { apart: shared && failures > 0, copies: shared && last ? batch : 1, together, last, shared };
}

/** The attempts at one request. Decides how each is sent, by how the ones before have ended. */
export class Tries {
  readonly #retry: RetryLimits;
  #failures = 0;
  #outOfMemory = false;
  /** Out-of-memory errors of a request that was the only one of this worker. */
  #shortages = 0;
  #refusedAt: number | undefined;
  /** When a request of the job last went unanswered. */
  #suspectSince: number | undefined;
  #lastUnanswered: Unanswered | undefined;

  /** @param suspectSince from an earlier attempt at the job */
  constructor(retry: RetryLimits, suspectSince: number | undefined) {
    this.#retry = retry;
    this.#suspectSince = suspectSince;
  }

  next(batch: number): Sending {
    if (this.#outOfMemory) return ALONE;
    if (this.#suspectSince === undefined) return turnAfter(this.#failures, batch, this.#retry.failedAttempts);
    const last = this.#failures + 1 >= this.#retry.failedAttempts;
    return { apart: true, copies: batch, together: 1, last, shared: false };
  }

  /** Whether to ask with a blank picture first, because it is unknown whether the version answers. */
  needsProbe({ answeredAt }: Sent): boolean {
    return this.#suspectSince !== undefined && answeredAt <= this.#suspectSince;
  }

  /** Takes in how an attempt ended, and decides whether there is another. */
  after(failure: Failure, how: Circumstances): Next {
    switch (failure.kind) {
      case 'refused':
        return this.#refused(failure.error, how);
      case 'unanswered':
        return this.#unanswered(failure.error, failure.sent, how);
      case 'failed':
        this.#failures++;
        this.#outOfMemory = failure.error.outOfMemory;
        if (this.#outOfMemory) return this.#shortOfMemory(failure.error, failure.aloneInWorker, how.turn);
        if (how.turn.last) return end(failure.error);
        // Requests that share a batch must meet again, so they retry at once.
        return again(how.turn.shared ? 0 : this.#backoffMs());
    }
  }

  /** The error to end with: it remembers that a request of the job went unanswered before. */
  ending(thrown: unknown): unknown {
    const isOutage = thrown instanceof JobError && thrown.verdict === 'defer' && thrown.unanswered === undefined;
    return isOutage && this.#lastUnanswered !== undefined ? thrown.with({ unanswered: this.#lastUnanswered }) : thrown;
  }

  #refused(error: JobError, { answeredAt, computed }: Circumstances): Next {
    this.#refusedAt ??= performance.now();
    // A full queue is not an outage: even an impatient job waits for another turn.
    const patience = computed ? KEEP_COMPUTED_MS : this.#retry.unavailableMs;
    if (performance.now() - Math.max(this.#refusedAt, answeredAt) >= patience) return end(error);
    return again(0);
  }

  /** Sends the request apart once. If that is not answered either, the request itself is the cause, or there is an outage. */
  #unanswered(error: JobError, sent: Sent, { giveUpAt }: Circumstances): Next {
    const before = this.#suspectSince;
    if (before !== undefined && isCause(error.unanswered, sent, before)) return end(error.with({ costsAttempt: true }));
    this.#suspectSince = performance.now();
    this.#lastUnanswered = error.unanswered;
    const pauseMs = this.#backoffMs();
    if (before !== undefined || performance.now() + pauseMs >= giveUpAt) return end(error);
    return again(pauseMs);
  }

  /** Without others in its batch or in this worker, the request has had all the memory that this worker can leave it. */
  #shortOfMemory(error: JobError, aloneInWorker: boolean, turn: Sending): Next {
    if (turn !== ALONE) return again(0);
    if (!aloneInWorker) return end(error);
    this.#shortages++;
    if (this.#shortages >= SHORTAGES_TO_TELL) return end(error.with({ costsAttempt: true }));
    return again(this.#backoffMs());
  }

  #backoffMs(): number {
    return backoffMs(this.#failures, this.#retry.maxDelayMs);
  }
}
