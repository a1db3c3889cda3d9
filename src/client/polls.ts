/** Waits for the records of many jobs at once, at a bounded rate of requests. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobRecord } from '../records/record.js';
import { type Settle, waitUnless } from '../domain/signals.js';

export interface PollLimits {
  /** Requests that are in flight at the same time. */
  readonly atOnce: number;
  /** Requests a second, over all jobs. */
  readonly perSecond: number;
  /** Shortest pause between two looks at one job, in milliseconds. */
  readonly everyMs: number;
}

export const POLL_LIMITS: PollLimits = { atOnce: 8, perSecond: 200, everyMs: 200 };

interface Waiting extends Settle<JobRecord> {
  readonly jobId: string;
  /** By `performance.now()`. */
  notBefore: number;
}

export interface Polls {
  /** @throws what the look throws; the signal's reason */
  wait(jobId: string): Promise<JobRecord>;
}

/**
 * Looks at the jobs in turn, the longest unseen first.
 * @param look a recall with retries: what it throws ends the wait of that job alone
 */
export function createPolls(
  look: (jobId: string) => Promise<JobRecord | undefined>,
  signal: AbortSignal,
  limits: PollLimits = POLL_LIMITS,
): Polls {
  setMaxListeners(0, signal); // one for each job
  const queue: Waiting[] = [];
  const shareMs = (limits.atOnce * 1_000) / limits.perSecond;
  let looking = 0;

  async function lookOn(): Promise<void> {
    looking++;
    try {
      for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) {
        await pause(next.notBefore - performance.now(), signal);
        const startedAt = performance.now();
        await lookAt(next);
        await pause(shareMs - (performance.now() - startedAt), signal);
      }
    } finally {
      looking--;
    }
  }

  async function lookAt(waiting: Waiting): Promise<void> {
    try {
      const record = await look(waiting.jobId);
      if (record) waiting.resolve(record);
      else queue.push({ ...waiting, notBefore: performance.now() + limits.everyMs });
    } catch (thrown) {
      waiting.reject(thrown as Error);
    }
  }

  return {
    wait: (jobId) =>
      waitUnless<JobRecord>(signal, (settle) => {
        queue.push({ jobId, ...settle, notBefore: performance.now() + limits.everyMs });
        if (looking < limits.atOnce) void lookOn();
        return () => undefined;
      }),
  };
}

/** It ends early, without an error, when the signal fires. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined);
}
