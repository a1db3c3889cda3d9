/** What is simulated: every figure that is not measured by the simulation itself, with where it comes from. */
import type { Source } from './delayed.js';

/**
 * Where the GPUs are.
 *
 * one       `k8s/triton`: one Triton with one T4; only workers scale
 * shared    `k8s/components/triton-gcs`: Triton scales too, every worker talks to every replica
 * sidecar   `k8s/components/triton-sidecar`: every worker's pod has its own Triton and T4
 */
export type Topology = 'one' | 'shared' | 'sidecar';

export interface Limits {
  readonly min: number;
  readonly max: number;
}

export interface Machine {
  /** From a pod's creation until it is ready, on a node that is there: image, start, models. */
  readonly podSeconds: number;
  readonly nodeSeconds: number;
  readonly podsPerNode: number;
  /** Price of a node-hour, in units of a GPU node's. An input: prices differ by region and change. */
  readonly pricePerHour: number;
}

/** A node that nobody needs goes after this long: the cluster autoscaler's `--scale-down-unneeded-time`. */
export const NODE_UNNEEDED_SECONDS = 600;

export const PLANT = {
  load: 1,
  /** Jobs a second that a busy GPU finishes with full batches. The design promises this for its mix on a T4. */
  gpuJobsPerSecond: 0.3,
  /** Requests in an execution: `max_batch_size` of our models. */
  batch: 8,
  /** Requests that a worker keeps in flight for a model: 2 × `max_batch_size` × instances (src/scheduling/fair-share.ts). */
  requestsPerWorker: 16,
  /** Requests that one job has in flight: 1 for a thumbnail, more for a picture in tiles. */
  requestsPerJob: 2,
  /**
   * Whether jobs that Triton has no place for wait until others are done, as where each is one request. Pictures in tiles take
   * turns instead (src/scheduling/fair-share.ts).
   */
  inOrder: false,
  /** Jobs differ as pictures do: most are small, a few are many times the mean. Log-normal with mean 1. */
  sizeSigma: 0.6,
  workerCpuSeconds: 0.35,
  ...{ maxJobs: 16, drainSeconds: 540 },
  /** How Managed Prometheus' metrics come: scraped, and seen soon after. An assumption; the report shows another. */
  prometheus: { everySeconds: 30, delaySeconds: [15, 30] } as Source,
  /** Over how long the recording rule takes the mean of requests at Triton. */
  loadSeconds: 60,
  worker: { podSeconds: 20, nodeSeconds: 90, podsPerNode: 4, pricePerHour: 0.25 } as Machine,
  /** A GPU node takes minutes: the machine, its driver, an image of many gigabytes; then the models are loaded. */
  gpu: { podSeconds: 60, nodeSeconds: 240, podsPerNode: 1, pricePerHour: 1 } as Machine,
  workers: { min: 1, max: 20 } as Limits,
  gpus: { min: 1, max: 8 } as Limits,
};

export type Plant = Readonly<typeof PLANT> & { readonly topology: Topology };

/** The names under which the autoscalers find what is measured; those of the manifests. */
export const METRICS = {
  /** Of the cores that a worker asks for, the share that is busy. */
  cpu: 'cpu',
  /** Not acked yet: waiting ones and those in work. */
  backlog: 'pubsub.googleapis.com|subscription|num_undelivered_messages',
  /** Seconds since the oldest of them was published. */
  age: 'pubsub.googleapis.com|subscription|oldest_unacked_message_age',
  active: 'prometheus.googleapis.com|imagen_jobs_active|gauge',
  /** Requests at all Tritons, waiting or in execution: their mean over the last minute. */
  load: 'prometheus.googleapis.com|imagen:triton_requests:mean1m|gauge',
  /** Requests that wait for an execution, of a Triton. */
  pending: 'prometheus.googleapis.com|nv_inference_pending_request_count|gauge',
} as const;
