import type { Worker } from './context.js';

/**
 * The same worker for a job that is worked on alone, which keeps all others out: it waits in place for nothing that is away,
 * but is put off at once and stands aside.
 */
export function withoutWaiting(worker: Worker): Worker {
  const { parts, options } = worker;
  const { share, singleTryStore: store } = parts;
  const { pipeline } = options;
  return {
    ...worker,
    parts: { ...parts, store, share: { ...share, scheduler: (job) => share.scheduler(job, false) } },
    options: { ...options, pipeline: { ...pipeline, route: () => ({ ...pipeline.route(), patient: false }) } },
  };
}
