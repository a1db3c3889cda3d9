import type { Worker } from './context.js';

/**
 * The same worker for a job that runs alone and keeps all others out. It never waits in place for something that is away.
 * Such a job is put off at once and stands aside.
 */
export function withoutWaiting(worker: Worker): Worker {
  const { parts, options } = worker;
  const { share, singleTryStore: store } = parts;
  const { pipeline } = options;
  return {
    ...worker,
    parts: { ...parts, store, share: { ...share, scheduler: (job) => share.scheduler(job, false) } },
    options: { ...options, pipeline: { ...pipeline, route: (job) => ({ ...pipeline.route(job), patient: false }) } },
  };
}
