import { CRASH_STEPS } from './crashes.js';

export const FAULTS = [
  ...(['worker.sigkill', 'worker.sigterm', 'triton.restart', 'model.reload', 'model.killed'] as const),
  ...(['completions.refused', 'pubsub.reset', 'pubsub.stall', 'pubsub.cut'] as const),
  ...(['gcs.reset', 'gcs.stall', 'gcs.cut', 'triton.reset', 'triton.stall', 'triton.cut'] as const),
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** From 0 to 1: how long a stall is, where an answer is cut, who is hit. */
  readonly dice: number;
}

/** In a thousand jobs, and in proportion in others; the plan has a few more than are demanded. */
const OF_1000 = { planned: 6, demanded: 5 };
const COUNTS: Partial<Record<FaultKind, typeof OF_1000>> = {
  'worker.sigkill': { planned: 12, demanded: 10 },
  // Topics refuse for a minute each time; that is rare in a deployment, and takes its part of the time here.
  'completions.refused': { planned: 2, demanded: 1 },
};
/** Of each kind, in any run; and so many workers must have died after each step. */
const FEWEST = 1;

function countOf(kind: FaultKind, jobs: number, what: 'planned' | 'demanded'): number {
  const of1000 = (COUNTS[kind] ?? OF_1000)[what];
  return Math.max(FEWEST, Math.floor((of1000 * jobs) / 1000));
}

/** The kinds of faults that have come to pass too seldom for the run to prove anything. */
export function missing(jobs: number, counts: Readonly<Record<string, number>>): string[] {
  const crashes = CRASH_STEPS.map((step) => `crash.after.${step}`).filter((kind) => (counts[kind] ?? 0) < FEWEST);
  return [...FAULTS.filter((kind) => (counts[kind] ?? 0) < countOf(kind, jobs, 'demanded')), ...crashes];
}

/** Where in the whole time faults come. */
const FIRST = 0.05;
const LAST = 0.95;
/** Answers must come that can be cut, and completions that can be refused. */
const LAST_THAT_NEEDS_TRAFFIC = 0.7;

/** Each kind is spread over the whole time, with chance only in where exactly. */
export function planFaults(jobs: number, durationMs: number, random: () => number): PlannedFault[] {
  return FAULTS.flatMap((kind) => {
    const count = countOf(kind, jobs, 'planned');
    const last = kind.endsWith('.cut') || kind === 'completions.refused' ? LAST_THAT_NEEDS_TRAFFIC : LAST;
    return Array.from({ length: count }, (_, i) => ({
      kind,
      atMs: (FIRST + ((last - FIRST) * (i + random())) / count) * durationMs,
      dice: random(),
    }));
  }).sort((a, b) => a.atMs - b.atMs);
}
