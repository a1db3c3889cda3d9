import { JobError } from '../domain/errors.js';
import type { Job } from '../domain/job.js';
import { anyOf } from '../domain/signals.js';

/** Longest delay of a timer in Node, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** The time of an attempt is counted in slices, in milliseconds. */
const SLICE_MS = 250;
/** If a slice takes longer, at most this much more counts, for a busy event loop. For the rest the process was stopped. */
const LATE_MS = 250;

export interface TimeLimit {
  readonly signal: AbortSignal;
  /** Fires the signal if the deadline has passed by the clock. A timer can be late when the event loop was busy. */
  readonly check: () => void;
  /** Stops the timers and releases the other signals. Call it when the job is over. */
  readonly clear: () => void;
}

/**
 * A signal that fires when the job's time is over, with a JobError as its reason: `DEADLINE_EXCEEDED` at its absolute
 * deadline, `EXECUTION_TIMEOUT` when this attempt has taken too long. It also fires when one of `outer` fires, with that
 * signal's reason.
 */
export function timeLimit(
  job: Pick<Job, 'deadline' | 'timeoutSeconds'>,
  outer: readonly AbortSignal[],
  now = Date.now(),
): TimeLimit {
  const controller = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  let stopCounting = (): void => undefined;
  // Errors are made only when they are needed: their stack traces cost more than the rest of this function.
  const endAfter = (ms: number, error: () => JobError) => {
    if (ms <= 0) controller.abort(error());
    else if (ms <= MAX_TIMER_MS) timers.push(setTimeout(() => controller.abort(error()), ms));
    // A longer delay needs no timer: no attempt lasts three weeks.
  };
  const deadline = job.deadline === undefined ? Infinity : Date.parse(job.deadline);
  const passed = () => new JobError('DEADLINE_EXCEEDED', `the deadline ${job.deadline ?? ''} has passed`);
  endAfter(deadline - now, passed);
  if (job.timeoutSeconds !== undefined) {
    const message = `the attempt took longer than ${job.timeoutSeconds} s`;
    const late = () => controller.abort(new JobError('EXECUTION_TIMEOUT', message));
    stopCounting = countDown(job.timeoutSeconds * 1000, late);
  }
  const both = anyOf([...outer, controller.signal]);
  return {
    signal: both.signal,
    check() {
      if (Date.now() >= deadline) controller.abort(passed());
    },
    clear() {
      timers.forEach(clearTimeout);
      stopCounting();
      both.release();
    },
  };
}

/**
 * Calls `done` when this process has run for so many milliseconds. Time for which it was stopped, with its machine or by a
 * signal, does not count, because no job could go on then.
 * @returns what ends it
 */
function countDown(ms: number, done: () => void): () => void {
  let left = ms;
  let timer: NodeJS.Timeout;
  const next = () => {
    const slice = Math.min(left, SLICE_MS);
    const from = performance.now();
    timer = setTimeout(() => {
      left -= Math.min(performance.now() - from, slice + LATE_MS);
      if (left > 0) next();
      else done();
    }, slice);
  };
  next();
  return () => clearTimeout(timer);
}
