/** The worker's pods: each is a process of the worker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startWorker, type Worker } from '../../dev/workers.js';
import type { Plant } from '../autoscale/plant.js';
import { toMs } from './clock.js';
import type { Workload } from './kubelet.js';

/** Between the worker's own time to drain and its death, as in the manifest: terminationGracePeriodSeconds. */
const GRACE_SECONDS = 30;
/** A worker that does not answer in time is asked again at the next look. */
const ANSWER_MS = 800;

export interface WorkerPods extends Workload {
  /** The metrics of each that answers, by pod. */
  metrics(): Promise<ReadonlyMap<string, string>>;
  /** Pods whose worker has not ended with 0 after SIGTERM, or ended without one. */
  readonly badEnds: readonly string[];
}

/** @param logs a folder that gets a file for each pod */
export function workerPods(plant: Plant, env: NodeJS.ProcessEnv, logs: string): WorkerPods {
  const running = new Map<string, Worker>();
  const badEnds: string[] = [];
  const drain = toMs(plant.drainSeconds);
  const limits = { IMAGEN_MAX_JOBS: String(plant.maxJobs), IMAGEN_DRAIN_SECONDS: String(Math.floor(drain / 1000)) };

  async function stop(pod: string, worker: Worker): Promise<void> {
    if (!worker.signal('SIGTERM')) badEnds.push(`${pod} had ended by itself`);
    const patience = new AbortController();
    const killing = sleep(drain + toMs(GRACE_SECONDS), undefined, { signal: patience.signal }).then(
      () => worker.signal('SIGKILL'),
      () => false, // it has ended
    );
    const { code, signal } = await worker.exit;
    patience.abort();
    await killing;
    running.delete(pod);
    if (code !== 0) badEnds.push(`${pod} ended with ${signal ?? code ?? ''}`);
  }

  return {
    ...{ name: 'imagen-worker', machine: plant.worker, badEnds },
    async start(pod) {
      const logFile = `${logs}/${pod}.log`;
      const worker = await startWorker({ ...env, ...limits, HOSTNAME: pod }, { logFile });
      running.set(pod, worker);
      return { stop: () => stop(pod, worker) };
    },
    async metrics() {
      const texts = await Promise.all(
        [...running].map(
          async ([pod, worker]) => [pod, await worker.metrics(ANSWER_MS).catch(() => undefined)] as const,
        ),
      );
      return new Map(texts.flatMap(([pod, text]) => (text === undefined ? [] : [[pod, text] as const])));
    },
  };
}
