import type { JobError } from '../domain/errors.js';

const REMEMBERED = 10_000;

/**
 * Why the jobs that were given back were given back, as far as this worker knows: so that one whose attempts run out
 * ends with the real reason. The oldest are forgotten first.
 */
export interface LastErrors {
  get(jobId: string): JobError | undefined;
  set(jobId: string, error: JobError): void;
}

export function createLastErrors(): LastErrors {
  const errors = new Map<string, JobError>();
  return {
    get: (jobId) => errors.get(jobId),
    set(jobId, error) {
      errors.delete(jobId); // so that it becomes the newest
      errors.set(jobId, error);
      const [oldest] = errors.keys();
      if (errors.size > REMEMBERED && oldest !== undefined) errors.delete(oldest);
    },
  };
}
