import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { root } from '../../dev/stack/paths.js';
import { compare, judge } from './compare.js';
import type { Plant, Topology } from './plant.js';
import { policiesFor, SAMPLE, shipped, variations } from './policies.js';
import type { Chapter } from './report.js';

/** Days on which the figures are taken, and other days on which the targets were chosen. */
export const SEEDS = [11, 12, 13, 14];
const CHOOSING = [1, 2];

/** What a policy must keep, against the GKE sample. */
export const QUEUE_AT_MOST = 1.05;
export const COST_AT_MOST = 0.8;

function plantOf(topology: Topology, changes: Partial<Plant> = {}): Partial<Plant> {
  const env = parseEnv(readFileSync(join(root, 'k8s/worker/worker.env'), 'utf8'));
  const { workers, gpus } = shipped(topology);
  const limits = ({ minReplicas, maxReplicas }: typeof workers) => ({ min: minReplicas, max: maxReplicas });
  return {
    ...{ maxJobs: Number(env.IMAGEN_MAX_JOBS), drainSeconds: Number(env.IMAGEN_DRAIN_SECONDS) },
    ...{ workers: limits(workers), gpus: limits(topology === 'sidecar' ? workers : gpus) },
    ...changes,
  };
}

const LATER: Plant['prometheus'] = { everySeconds: 30, delaySeconds: [75, 90] };
const LIGHT: Partial<Plant> = { gpuJobsPerSecond: 3 };
const SINGLE: Partial<Plant> = { requestsPerJob: 1, inOrder: true };

interface Outline extends Pick<Chapter, 'title' | 'about' | 'drawing'> {
  readonly topology: Topology;
  readonly changes?: Partial<Plant>;
}

const OUTLINES: readonly Outline[] = [
  {
    ...{ title: 'Workers and Triton scale', topology: 'shared', drawing: 'shared.svg' },
    about: 'Overlay `gke-gcs-repository`: every worker talks to every Triton.',
  },
  {
    ...{ title: 'The same with light jobs', topology: 'shared', changes: LIGHT },
    about: 'Ten times as many jobs, each a tenth of the work for the GPU and as much as before for the worker.',
  },
  {
    ...{ title: 'The same with jobs of one request', topology: 'shared', changes: SINGLE },
    about: 'Triton serves them in their order. Pictures in tiles, as above, take turns.',
  },
  {
    ...{ title: 'The same with at most four GPUs', topology: 'shared', changes: { gpus: { min: 1, max: 4 } } },
    about: 'The sample wastes less the nearer the limit lies to the peak (2.5).',
  },
  {
    ...{ title: 'The same with later metrics', topology: 'shared', changes: { prometheus: LATER } },
    about: 'Managed Prometheus a minute later than assumed above.',
  },
  {
    ...{ title: 'The same on Spot nodes', topology: 'shared', changes: { drainSeconds: 12 } },
    about:
      'Overlay `gke-spot`: a worker has 12 s to drain, whoever ends it. Jobs that take longer are given back and done again.',
  },
  {
    ...{ title: 'Triton as a sidecar', topology: 'sidecar', drawing: 'sidecar.svg' },
    about: 'Overlay `gke-sidecar`: each worker has its own GPU.',
  },
  {
    ...{ title: 'One GPU', topology: 'one', changes: { load: 0.36, workers: { min: 1, max: 4 } } },
    about:
      'Overlay `gke`: only workers scale; the loads are 0.36 of those above. The GPU decides, and no policy changes much.',
  },
];

export function chapters(): Chapter[] {
  return OUTLINES.map(({ topology, changes, ...words }) => {
    const policies = policiesFor(topology);
    return { ...words, policies, comparison: compare(topology, policies, SEEDS, plantOf(topology, changes)) };
  });
}

/** @returns the cheapest of what is shipped and its neighbours that keeps the limits, on the days for choosing */
export function winner(): string {
  const candidates = [...policiesFor('shared'), ...variations()];
  const run = (changes: Partial<Plant>) => compare('shared', candidates, CHOOSING, plantOf('shared', changes));
  const comparisons = [run({}), run(LIGHT), run(SINGLE)];
  const good = candidates.flatMap(({ name }) => {
    const verdicts = comparisons.map((comparison) => judge(comparison, name, SAMPLE));
    const keeps = verdicts.every(({ queue, killed }) => queue <= QUEUE_AT_MOST && killed === 0);
    return keeps ? [{ name, cost: verdicts[0]?.cost ?? NaN }] : [];
  });
  // The first of equals: what is shipped comes before the same among its neighbours.
  return good.reduce((a, b) => (b.cost < a.cost ? b : a)).name;
}
