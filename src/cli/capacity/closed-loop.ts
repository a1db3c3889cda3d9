/** Runs jobs as a worker with a backlog does: when one ends, the next one starts. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyOf } from '../../domain/signals.js';

export interface LoopOptions {
  readonly jobsInFlight: number;
  /** Duration of the whole run, in milliseconds. */
  readonly forMs: number;
  readonly signal: AbortSignal;
}

/** What was used in the part of the run that counts. */
export interface LoopFigures {
  readonly jobs: number;
  readonly seconds: number;
  /** Processor time of this process, in milliseconds. */
  readonly cpuMs: number;
  /** Time for which the main thread was busy, in milliseconds. */
  readonly mainThreadMs: number;
}

/** Longest part of the run that does not count, while the first jobs all do the same step. */
const WARM_SHARE = 1 / 3;
const POLL_MS = 10;

/**
 * Counts the jobs that end after as many have ended as are in flight, or after a third of the time. Jobs still running at
 * the end are aborted.
 * @param job settles soon after its signal fires
 * @param onCount called when the count starts and when it stops
 * @throws the error of the first job that fails; the signal's reason
 */
export async function closedLoop(
  job: (signal: AbortSignal) => Promise<void>,
  { jobsInFlight, forMs, signal }: LoopOptions,
  onCount: (moment: 'start' | 'stop') => Promise<void> = () => Promise.resolve(),
): Promise<LoopFigures> {
  const over = new AbortController();
  const running = anyOf([signal, over.signal]);
  setMaxListeners(0, running.signal); // every job in flight adds listeners
  const isOver = () => running.signal.aborted;
  let ended = 0;
  let failure: { readonly reason: unknown } | undefined;
  const runJobs = async () => {
    while (!isOver()) {
      try {
        await job(running.signal);
        ended++;
      } catch (reason) {
        if (isOver()) return;
        failure ??= { reason };
        over.abort();
      }
    }
  };
  const startedAt = performance.now();
  const all = Array.from({ length: jobsInFlight }, runJobs);
  const wait = async (until: () => boolean) => {
    while (!isOver() && !until()) await sleep(POLL_MS);
  };
  try {
    await wait(() => ended >= jobsInFlight || performance.now() - startedAt > forMs * WARM_SHARE);
    if (!isOver()) await onCount('start');
    const before = { at: performance.now(), ended, cpu: process.cpuUsage(), loop: performance.eventLoopUtilization() };
    await wait(() => performance.now() - startedAt > forMs);
    const { user, system } = process.cpuUsage(before.cpu);
    const figures = {
      jobs: ended - before.ended,
      seconds: (performance.now() - before.at) / 1000,
      cpuMs: (user + system) / 1000,
      mainThreadMs: performance.eventLoopUtilization(before.loop).active,
    };
    signal.throwIfAborted();
    if (failure) throw failure.reason;
    await onCount('stop');
    return figures;
  } finally {
    over.abort();
    await Promise.all(all);
    running.release();
  }
}
