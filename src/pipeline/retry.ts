import { setTimeout as sleep } from 'node:timers/promises';
import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';

export interface RetryLimits {
  /** How long to retry in place while something is down, in milliseconds. */
  readonly unavailableMs: number;
  /** Longest pause between two attempts, in milliseconds. */
  readonly maxDelayMs?: number;
  /** Number of attempts in place for a failure without a known cause. */
  readonly failedAttempts: number;
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

/** Exponential backoff with full jitter, in milliseconds. Workers that failed together do not retry together. */
export function backoffMs(failures: number, maxDelayMs = MAX_DELAY_MS, random: () => number = Math.random): number {
  return random() * Math.min(maxDelayMs, FIRST_DELAY_MS * 2 ** Math.min(failures, 16));
}

/**
 * What to throw after `signal` has fired. A job's own time limit says how long its work may take, and waiting in an
 * outage is no work. So if the last thing that happened was an error that defers the job, that error counts.
 * @param last what happened last, if it was an error
 */
export function reasonToStop(signal: AbortSignal, last: unknown): unknown {
  const reason: unknown = signal.reason;
  const ownLimit = reason instanceof JobError && reason.code === 'EXECUTION_TIMEOUT';
  return ownLimit && last instanceof JobError && last.verdict === 'defer' ? last : reason;
}

/**
 * Retries `work` as the verdict of its error permits: `defer` until `unavailableMs` have passed, `retry-then-fail` for
 * `failedAttempts` attempts, any other never. It does not retry after an error that costs an attempt, since the
 * request may end the model's process again, and the caller counts attempts.
 * @throws the last error, or what `reasonToStop` says
 */
export async function withRetries<T>(work: () => Promise<T>, limits: RetryLimits, signal: AbortSignal): Promise<T> {
  const giveUpAt = performance.now() + limits.unavailableMs;
  let last: unknown;
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (thrown) {
      if (thrown !== signal.reason) last = thrown;
      if (signal.aborted) throw reasonToStop(signal, last);
      if (!(thrown instanceof JobError)) throw thrown;
      const delay = backoffMs(failures, limits.maxDelayMs);
      const again =
        (thrown.verdict === 'defer' &&
          !thrown.costsAttempt &&
          !thrown.outOfMemory &&
          performance.now() + delay < giveUpAt) ||
        (thrown.verdict === 'retry-then-fail' && failures < limits.failedAttempts);
      if (!again) throw thrown;
      await sleep(delay, undefined, { signal }).catch(() => {
        throw reasonToStop(signal, last);
      });
    }
  }
}

/**
 * A store that retries each call while storage is unavailable, for at most `limits.unavailableMs`. It does not retry
 * `checkAccess`, which tests whether storage is available.
 */
export function retryingStore(store: ObjectStore, limits: RetryLimits): ObjectStore {
  return {
    read: (ref, options) => withRetries(() => store.read(ref, options), limits, options.signal),
    stat: (ref, signal) => withRetries(() => store.stat(ref, signal), limits, signal),
    create: (ref, bytes, options) => withRetries(() => store.create(ref, bytes, options), limits, options.signal),
    list: (prefix, options) => withRetries(() => store.list(prefix, options), limits, options.signal),
    checkAccess: (ref, access, signal) => store.checkAccess(ref, access, signal),
  };
}
