import type { Worker } from './context.js';

/**
 * The same worker for a job that runs alone and keeps all others out. It does not wait in place for something that is away.
 * Such a job is put off at once and stands aside. Only what it has computed is stored with patience: to compute it again
 * would keep the others out for longer.
 */
export function withoutWaiting(worker: Worker): Worker {
  const { parts, options, outcomeStore } = worker;
  const { share, singleTryStore: store } = parts;
  const { pipeline } = options;
  return {
    ...worker,
    parts: { ...parts, store, share: { ...share, scheduler: (job) => share.scheduler(job, false) } },
    options: {
      ...options,
      pipeline: {
        ...pipeline,
        route: (job) => ({ ...pipeline.route(job), patient: false }),
        endOf: (jobId, _store, signal) => pipeline.endOf(jobId, outcomeStore, signal),
      },
    },
  };
}
