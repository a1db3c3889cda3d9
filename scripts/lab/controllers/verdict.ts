/** Compares a run on real controllers with the simulation of the same day. */
import { quantile } from '../autoscale/compare.js';
import { PLANT, type Plant } from '../autoscale/plant.js';
import { shipped } from '../autoscale/policies.js';
import { type Moment, simulate } from '../autoscale/world.js';

/** How far the simulator may be from the run, as a share of the run's figure. */
export const TOLERANCE = 0.15;

/** What two processors hold: at most eight workers, and jobs of one request each that are all alike. */
export const RUN_PLANT: Plant = {
  ...{ ...PLANT, topology: 'shared', workers: { min: 1, max: 8 }, gpus: { min: 1, max: 8 } },
  ...{ requestsPerJob: 1, inOrder: true, sizeSigma: 0, workerCpuSeconds: 0.15 },
};

export interface Figures {
  /** 95th percentile of the time from publication to completion, in seconds. */
  readonly p95: number;
  /** The same without what a job takes alone. */
  readonly queued: number;
  readonly workers: number;
  readonly gpus: number;
}

export interface Measured {
  readonly waited: readonly number[];
  readonly podSeconds: { readonly workers: number; readonly gpus: number };
}

/** @param alone seconds that a job takes with nothing else to do */
export function figuresOf({ waited, podSeconds }: Measured, alone: number): Figures {
  const queued = quantile(
    [...waited].sort((a, b) => a - b),
    0.95,
  );
  return { p95: queued + alone, queued, ...podSeconds };
}

export function simulated(plant: Plant, arrivals: readonly number[], seconds: number, seed: number) {
  const outcome = simulate(plant, shipped('shared'), arrivals, seconds, seed);
  const alone = plant.workerCpuSeconds + plant.batch / plant.gpuJobsPerSecond;
  return { figures: figuresOf(outcome, alone), trace: outcome.trace satisfies readonly Moment[] };
}

/** @returns simulated ÷ measured, and the names of those that are too far from 1 */
export function compareFigures(simulation: Figures, run: Figures) {
  const ratios = {
    p95: simulation.p95 / run.p95,
    workers: simulation.workers / run.workers,
    gpus: simulation.gpus / run.gpus,
  };
  const far = Object.entries(ratios).filter(([, ratio]) => !(Math.abs(ratio - 1) <= TOLERANCE));
  return { ratios, far: far.map(([name]) => name) };
}
