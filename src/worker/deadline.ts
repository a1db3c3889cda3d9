import { JobError } from '../domain/errors.js';
import type { Job } from '../domain/job.js';

/** Longest delay that a timer of Node can hold, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * A signal that fires when the job's time is over, with the reason as a JobError: `DEADLINE_EXCEEDED` at its absolute
 * deadline, `EXECUTION_TIMEOUT` when this attempt has taken too long; or when `outer` fires, with its reason.
 * @returns the signal, and what stops its timers; call that when the job is over
 */
export function timeLimit(
  job: Pick<Job, 'deadline' | 'timeoutSeconds'>,
  outer: AbortSignal,
  now = Date.now(),
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const endAfter = (ms: number, error: JobError) => {
    if (ms <= 0) controller.abort(error);
    else if (ms <= MAX_TIMER_MS) timers.push(setTimeout(() => controller.abort(error), ms));
    // Further away than a timer reaches: no attempt lasts three weeks.
  };
  if (job.deadline !== undefined) {
    const message = `the deadline ${job.deadline} has passed`;
    endAfter(Date.parse(job.deadline) - now, new JobError('DEADLINE_EXCEEDED', message));
  }
  if (job.timeoutSeconds !== undefined) {
    const message = `the attempt took longer than ${job.timeoutSeconds} s`;
    endAfter(job.timeoutSeconds * 1000, new JobError('EXECUTION_TIMEOUT', message));
  }
  return { signal: AbortSignal.any([outer, controller.signal]), clear: () => timers.forEach(clearTimeout) };
}
