/** The policies that are compared. The one that is shipped is read from the manifests. */
import { DEFAULT_DOWN, DEFAULT_TOLERANCE, DEFAULT_UP, type HpaSpec, type Metric } from './hpa.js';
import { readHpa } from './manifest.js';
import { METRICS, type Topology } from './plant.js';
import type { Scaling } from './world.js';

export interface NamedPolicy {
  readonly name: string;
  readonly about: string;
  readonly scaling: Scaling;
}

const backlog = (averageValue: number): Metric => ({ type: 'External', name: METRICS.backlog, averageValue });
const age = (value: number): Metric => ({ type: 'External', name: METRICS.age, value });
const active = (averageValue: number): Metric => ({ type: 'Pods', name: METRICS.active, averageValue });
const pending = (averageValue: number): Metric => ({ type: 'External', name: METRICS.pending, averageValue });
const load = (averageValue: number): Metric => ({ type: 'External', name: METRICS.load, averageValue });

/** Limits come from the plant, all else by Kubernetes' defaults. */
const hpa = (...metrics: readonly Metric[]): HpaSpec => ({
  ...{ minReplicas: 1, maxReplicas: 1, metrics, tolerance: DEFAULT_TOLERANCE },
  ...{ scaleUp: DEFAULT_UP, scaleDown: DEFAULT_DOWN },
});

export const SHIPPED = 'shipped';
export const SAMPLE = 'GKE sample';
/** Above what workers hold, as every target on this metric must be. */
const JOBS = 40;
const LATE_SECONDS = 120;

const MANIFESTS = {
  workers: 'k8s/worker/hpa.yaml',
  gpus: 'k8s/components/triton-gcs/hpa.yaml',
  sidecar: 'k8s/components/triton-sidecar/hpa.yaml',
} as const;

export function shipped(topology: Topology): Scaling {
  const patch = topology === 'sidecar' ? MANIFESTS.sidecar : undefined;
  return { workers: readHpa(MANIFESTS.workers, patch), gpus: readHpa(MANIFESTS.gpus) };
}

export function policiesFor(topology: Topology): NamedPolicy[] {
  const ours = shipped(topology);
  const both = (...metrics: readonly Metric[]): Scaling => ({ workers: hpa(...metrics), gpus: hpa(...metrics) });
  const policies: (NamedPolicy | false)[] = [
    {
      name: SAMPLE,
      about: 'num_undelivered_messages, AverageValue 2, all else by default; for Triton the same',
      scaling: both(backlog(2)),
    },
    topology === 'shared' && {
      ...{ name: `${SAMPLE}, workers only`, about: 'for Triton what is shipped' },
      scaling: { workers: hpa(backlog(2)), gpus: ours.gpus },
    },
    {
      ...{ name: `backlog ${JOBS}`, about: 'the same metric, with a target above what a worker holds' },
      scaling: both(backlog(JOBS)),
    },
    {
      ...{ name: 'oldest age', about: `oldest_unacked_message_age, Value ${LATE_SECONDS} s` },
      scaling: both(age(LATE_SECONDS)),
    },
    {
      ...{ name: 'backlog and age', about: 'whichever asks for more' },
      scaling: both(backlog(JOBS), age(LATE_SECONDS)),
    },
    topology === 'shared' && {
      name: 'pending requests',
      about: 'workers as shipped, Triton by nv_inference_pending_request_count, AverageValue 4',
      scaling: { workers: ours.workers, gpus: hpa(pending(4)) },
    },
    topology === 'shared' && {
      name: 'jobs in work',
      about: 'fresh metrics alone: imagen_jobs_active 8, requests at Triton 5',
      scaling: { workers: hpa(active(8)), gpus: hpa(load(5)) },
    },
    { name: SHIPPED, about: 'what the manifests contain', scaling: ours },
    {
      name: `${SHIPPED}, KEDA to zero`,
      about: 'the same by KEDA, with no worker after five minutes without a job',
      scaling: { ...ours, toZeroAfterSeconds: 300 },
    },
  ];
  return policies.filter((policy) => policy !== false);
}

/** The neighbours of what is shipped where workers and Triton scale, among which it has to be the best. */
export function variations(): NamedPolicy[] {
  const { workers, gpus } = shipped('shared');
  const retarget = (spec: HpaSpec, name: string, averageValue: number): HpaSpec => ({
    ...spec,
    metrics: spec.metrics.map((metric) =>
      metric.name === name && 'averageValue' in metric ? { ...metric, averageValue } : metric,
    ),
  });
  return [4, 5, 6, 7].flatMap((requests) =>
    [4, 8, 12].map((jobs) => ({
      ...{ name: `jobs ${jobs}, requests ${requests}`, about: '' },
      scaling: { workers: retarget(workers, METRICS.active, jobs), gpus: retarget(gpus, METRICS.load, requests) },
    })),
  );
}
