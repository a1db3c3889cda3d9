/** What is simulated: every figure that is not measured by the simulation itself, with where it comes from. */
import type { Source } from './delayed.js';

/** Where the GPUs are. */
export type Topology =
  /** `k8s/triton`: one Triton with one T4; only workers scale. */
  | 'one'
  /** `k8s/components/triton-gcs`: Triton scales too, every worker talks to every replica. */
  | 'shared'
  /** `k8s/components/triton-sidecar`: every worker's pod has its own Triton and T4. */
  | 'sidecar';

export interface Plant {
  readonly topology: Topology;
  /** GPUs that a load of 1 in the arrivals keeps busy. */
  readonly load: number;
  /** Jobs a second that a busy GPU finishes with full batches. The design promises 0.3 for its mix on a T4. */
  readonly gpuJobsPerSecond: number;
  /** Requests in an execution: `max_batch_size` of our models. */
  readonly batch: number;
  /** Requests that a worker keeps in flight for a model: 2 × `max_batch_size` × instances (src/scheduling/fair-share.ts). */
  readonly requestsPerWorker: number;
  /** Requests that one job has in flight: 1 for a thumbnail, more for a picture in tiles. */
  readonly requestsPerJob: number;
  /** Of the worker's one core: decoding, packing, encoding. */
  readonly workerCpuSeconds: number;
  /** `IMAGEN_MAX_JOBS`, `IMAGEN_DRAIN_SECONDS` of the manifests. */
  readonly maxJobs: number;
  readonly drainSeconds: number;
  /** How Managed Prometheus' metrics come: scraped, and seen soon after. An assumption; the report shows another. */
  readonly prometheus: Source;
  /** Over how long the recording rule takes the mean of requests at Triton. */
  readonly loadSeconds: number;
  readonly worker: Machine;
  readonly gpu: Machine;
  readonly workers: Limits;
  readonly gpus: Limits;
}

export interface Limits {
  readonly min: number;
  readonly max: number;
}

export interface Machine {
  /** From a pod's creation until it is ready, on a node that is there: image, start, models. */
  readonly podSeconds: number;
  /** Until a new node can take a pod. */
  readonly nodeSeconds: number;
  readonly podsPerNode: number;
  /** Price of a node-hour, in units of a GPU node's. An input: prices differ by region and change. */
  readonly pricePerHour: number;
}

/** A node that nobody needs goes after this long: the cluster autoscaler's `--scale-down-unneeded-time`. */
export const NODE_UNNEEDED_SECONDS = 600;

const WORKER: Machine = { podSeconds: 20, nodeSeconds: 90, podsPerNode: 4, pricePerHour: 0.25 };
/** A GPU node takes minutes: the machine, its driver, an image of many gigabytes; then the models are loaded. */
const GPU: Machine = { podSeconds: 60, nodeSeconds: 240, podsPerNode: 1, pricePerHour: 1 };

export const PLANT: Omit<Plant, 'topology'> = {
  load: 1,
  gpuJobsPerSecond: 0.3,
  batch: 8,
  requestsPerWorker: 16,
  requestsPerJob: 2,
  workerCpuSeconds: 0.35,
  maxJobs: 16,
  drainSeconds: 540,
  prometheus: { everySeconds: 30, delaySeconds: [15, 30] },
  loadSeconds: 60,
  worker: WORKER,
  gpu: GPU,
  workers: { min: 1, max: 20 },
  gpus: { min: 1, max: 8 },
};
