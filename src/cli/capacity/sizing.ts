/** How many GPUs and workers: the figures that follow from what was measured. */
import type { Batch } from './costs.js';

/** From this share of its time on, Triton's instances and not the worker limit what is done. */
const SATURATED = 0.9;
/** From this share of its processors or of its main thread on, the worker limits what is done, if Triton does not. */
const HALF_BUSY = 0.5;

/** One worker's pipeline over a while. */
export interface WorkerFigures {
  readonly jobsInFlight: number;
  /** Jobs that have ended in that time. */
  readonly jobs: number;
  readonly seconds: number;
  readonly jobsPerSecond: number;
  /** Processor time of the whole process for a job, in milliseconds. */
  readonly cpuMsPerJob: number;
  /** Time for which a job keeps the main thread busy, in milliseconds. It is part of `cpuMsPerJob`. */
  readonly mainThreadMsPerJob: number;
  /** Share of the time for which Triton's instances computed, from 0 to 1. */
  readonly busy: number;
}

export interface Where {
  /** Instances of the model. */
  readonly instances: number;
  /** GPUs that they use, at least 1: a Triton without one counts as one. */
  readonly gpus: number;
  /** Processors that the worker may use. */
  readonly processors: number;
}

export interface Sizing {
  /** Jobs a second for each GPU when its instances compute all the time, in batches as full as the fullest measured. */
  readonly jobsPerSecondPerGpu: number;
  readonly imagesPerGpuHour: number;
  /** In the currency of the price. Absent without a price. */
  readonly costPerThousand?: number;
  /** Absent if no job has ended. */
  readonly worker?: {
    /** What kept this worker from doing more. If it is neither, the time was too short for the model, or the network slow. */
    readonly limit: 'triton' | 'worker' | 'neither';
    /** Workers like this one that keep a GPU busy. Below 1, one worker can serve several GPUs. Absent without a limit. */
    readonly workersPerGpu?: number;
    /** Processors that the jobs of a busy GPU use in workers. */
    readonly processorsPerGpu: number;
  };
}

/**
 * If the worker kept Triton busy, it could have done more: as much as its processors, or its main thread, whichever is
 * used up first. If not, but the worker itself was busy, what it did is the most that it can.
 * @param batches of one shape, in ascending order of size
 * @param requests of one job
 * @param price of a GPU for an hour
 * @returns undefined if nothing was executed
 */
export function sizing(
  batches: readonly Batch[],
  requests: number,
  worker: WorkerFigures | undefined,
  { instances, gpus, processors }: Where,
  price?: number,
): Sizing | undefined {
  const fullest = batches.at(-1);
  if (!fullest || fullest.meanMs <= 0) return undefined;
  const perGpu = ((instances / gpus) * fullest.batchSize * 1000) / (requests * fullest.meanMs);
  const imagesPerGpuHour = perGpu * 3600;
  const gpu = {
    ...{ jobsPerSecondPerGpu: perGpu, imagesPerGpuHour },
    ...(price === undefined ? {} : { costPerThousand: (price * 1000) / imagesPerGpuHour }),
  };
  if (!worker || worker.jobs === 0) return gpu;
  const { jobsPerSecond, cpuMsPerJob, mainThreadMsPerJob, busy } = worker;
  // Time for which a job takes the worker, in milliseconds: all of its processors, or its main thread.
  const ownMs = Math.max(cpuMsPerJob / processors, mainThreadMsPerJob);
  const processorsPerGpu = (perGpu * cpuMsPerJob) / 1000;
  if (busy >= SATURATED) {
    return { ...gpu, worker: { limit: 'triton', workersPerGpu: (perGpu * ownMs) / 1000, processorsPerGpu } };
  }
  if (jobsPerSecond * ownMs < HALF_BUSY * 1000) return { ...gpu, worker: { limit: 'neither', processorsPerGpu } };
  return { ...gpu, worker: { limit: 'worker', workersPerGpu: perGpu / jobsPerSecond, processorsPerGpu } };
}

/** What decides how many jobs to have in flight. */
export interface Flow {
  /** Requests that the model takes at once. */
  readonly inFlight: number;
  /** Requests of one job. */
  readonly requests: number;
  /** Pictures that may be decoded or encoded at once. */
  readonly slots: number;
  /** Most jobs that a worker has. */
  readonly most: number;
  /** Time for which a job alone keeps the model's instances busy, in milliseconds. */
  readonly jobMs: number;
  /** Time of the whole run, in milliseconds. */
  readonly forMs: number;
}

/** Each job takes as long as all in flight together. The first ones must end early in the run, for they are not counted. */
const GENERATIONS = 3;

/**
 * Jobs to have in flight: enough for the requests that the model takes at once, as many again behind them, and one for
 * each picture that is decoded or encoded. More would do no more work, but the first would end later. A slow model gets
 * fewer, so that they end in time, and leave it no work when the run ends.
 * @returns 0 if not even one job would end in time
 */
export function jobsToKeepBusy({ inFlight, requests, slots, most, jobMs, forMs }: Flow): number {
  if (jobMs > forMs) return 0;
  const enough = Math.ceil((2 * inFlight) / requests) + slots;
  return Math.max(1, Math.min(most, enough, Math.floor(forMs / GENERATIONS / jobMs)));
}
