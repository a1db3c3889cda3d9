/** Runs every policy through every shape of arrivals and sets what it costs against what it makes jobs wait. */
import { ARRIVALS, type Arrivals, arrivalsOf, HOURS } from './arrivals.js';
import { PLANT, type Plant, type Topology } from './plant.js';
import type { NamedPolicy } from './policies.js';
import { type Moment, simulate } from './world.js';

export interface Row {
  readonly policy: string;
  readonly arrivals: Arrivals;
  /** Seconds in queue, wherever the queue was: of every job, in ascending order. */
  readonly waited: readonly number[];
  readonly p95: number;
  readonly cost: number;
  readonly killed: number;
  readonly trace: readonly Moment[];
}

export type Comparison = ReturnType<typeof compare>;

/** @param seeds each is another day; what is reported is over all of them together */
export function compare(
  topology: Topology,
  policies: readonly NamedPolicy[],
  seeds: readonly number[],
  changes: Partial<Plant> = {},
) {
  const plant: Plant = { ...PLANT, topology, ...changes };
  const rows = ARRIVALS.flatMap((arrivals) => {
    const days = seeds.map((seed) => arrivalsOf(arrivals, plant.load * plant.gpuJobsPerSecond, seed));
    return policies.map(({ name, scaling }): Row => {
      const outcomes = days.map((times, i) =>
        simulate(plant, scaling, times, HOURS[arrivals] * 3600, 1000 + (seeds[i] ?? 0)),
      );
      const waited = outcomes.flatMap((outcome) => outcome.waited).sort((a, b) => a - b);
      const sum = (of: (outcome: (typeof outcomes)[number]) => number) => outcomes.reduce((s, o) => s + of(o), 0);
      return {
        ...{ policy: name, arrivals, waited },
        p95: quantile(waited, 0.95),
        cost: sum(({ cost }) => cost),
        ...{ killed: sum(({ killed }) => killed), trace: outcomes[0]?.trace ?? [] },
      };
    });
  });
  return { plant, rows };
}

/** @param sorted in ascending order */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Waits shorter than this are told apart by the simulation's steps only. */
const SAME_SECONDS = 1;

export function judge({ rows }: Comparison, policy: string, against: string) {
  const of = (name: string) => rows.filter((row) => row.policy === name);
  const [ours, theirs] = [of(policy), of(against)];
  const ratio = (a: number, b: number) => Math.max(a, SAME_SECONDS) / Math.max(b, SAME_SECONDS);
  const together = (list: readonly Row[]) =>
    quantile(
      list.flatMap(({ waited }) => waited).sort((a, b) => a - b),
      0.95,
    );
  const total = (list: readonly Row[]) => list.reduce((sum, { cost }) => sum + cost, 0);
  return {
    /** The worst over the shapes of arrivals, of 95th percentiles: ours ÷ the other's. */
    queue: Math.max(...ours.map(({ p95 }, i) => ratio(p95, theirs[i]?.p95 ?? 0))),
    all: ratio(together(ours), together(theirs)),
    /** Over all shapes together: ours ÷ the other's. */
    cost: total(ours) / total(theirs),
    killed: ours.reduce((sum, { killed }) => sum + killed, 0),
  };
}
