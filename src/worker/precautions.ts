import { JobError } from '../domain/errors.js';
import type { RequestScheduler } from '../pipeline/transform.js';

/** How the earlier errors of a job make the worker handle it. A job keeps this until it ends, on every worker. */
export interface Precautions {
  /** Since when the job may be the cause of a dead or silent server, by `performance.now()`. Its requests then go apart. */
  readonly suspectSince?: number | undefined;
  /** No other job is in work meanwhile, because others may have held the memory that it lacked. */
  readonly alone?: boolean | undefined;
}

export function precautionsAfter(before: Precautions, error: Error): Precautions {
  if (!(error instanceof JobError)) return before;
  if (error.outOfMemory) return { ...before, alone: true };
  const isSuspect = error.unanswered !== undefined || (error.costsAttempt && error.stage === 'infer');
  return isSuspect ? { ...before, suspectSince: performance.now() } : before;
}

/** Sends all requests of a suspect job apart from those of other jobs. */
export function withPrecautions(schedule: RequestScheduler, { suspectSince }: Precautions): RequestScheduler {
  if (suspectSince === undefined) return schedule;
  return (request, task, signal) => schedule({ ...request, suspectSince }, task, signal);
}
