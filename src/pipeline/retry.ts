import { setTimeout as sleep } from 'node:timers/promises';
import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';

export interface RetryLimits {
  /** How long to wait in place for something that is down, in milliseconds. */
  readonly unavailableMs: number;
  /** Longest pause between two attempts, in milliseconds. */
  readonly maxDelayMs?: number;
  /** How many attempts in place for something that failed without saying why. */
  readonly failedAttempts: number;
}

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

/** Exponential backoff with full jitter, so that workers that failed together do not come back together. */
export function backoffMs(failures: number, maxDelayMs = MAX_DELAY_MS, random: () => number = Math.random): number {
  return random() * Math.min(maxDelayMs, FIRST_DELAY_MS * 2 ** Math.min(failures, 16));
}

/**
 * Runs `work` again as its error's verdict permits: `defer` until `unavailableMs` have passed, `retry-then-fail` for
 * `failedAttempts` attempts, anything else not at all. Nor is a suspect job run again, which may end the model's process
 * a second time: that costs an attempt, which is for the caller to count. The last error is thrown.
 */
export async function withRetries<T>(work: () => Promise<T>, limits: RetryLimits, signal: AbortSignal): Promise<T> {
  const giveUpAt = performance.now() + limits.unavailableMs;
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof JobError)) throw thrown;
      const delay = backoffMs(failures, limits.maxDelayMs);
      const again =
        (thrown.verdict === 'defer' &&
          !thrown.suspect &&
          !thrown.outOfMemory &&
          performance.now() + delay < giveUpAt) ||
        (thrown.verdict === 'retry-then-fail' && failures < limits.failedAttempts);
      if (!again) throw thrown;
      await sleep(delay, undefined, { signal });
    }
  }
}

/**
 * A store whose every call is tried again while storage is unavailable, for at most `limits.unavailableMs`; but for
 * `checkAccess`, which asks whether it is.
 */
export function retryingStore(store: ObjectStore, limits: RetryLimits): ObjectStore {
  return {
    read: (ref, options) => withRetries(() => store.read(ref, options), limits, options.signal),
    stat: (ref, signal) => withRetries(() => store.stat(ref, signal), limits, signal),
    create: (ref, bytes, options) => withRetries(() => store.create(ref, bytes, options), limits, options.signal),
    checkAccess: (ref, access, signal) => store.checkAccess(ref, access, signal),
  };
}
