/** How an operation ended. `slow`: it failed because it took too long. */
export type Ended = 'done' | 'failed' | 'slow';

export interface Counts {
  readonly operations: number;
  /** Of those, the ones that failed. */
  readonly failures: number;
  /** Of the failures, the ones that took too long. */
  readonly slow: number;
}

/** Counts recent operations. */
export interface Tally {
  add(ended: Ended): void;
  read(): Counts;
}

/**
 * Slices per window. Operations leave the window slice by slice, so that a busy window takes no more memory than a quiet
 * one.
 */
const SLICES = 20;

/** @param now milliseconds on a monotonic clock */
export function createTally(windowMs: number, now: () => number = () => performance.now()): Tally {
  const slices: { readonly number: number; operations: number; failures: number; slow: number }[] = [];
  const numberNow = () => Math.floor((now() * SLICES) / windowMs);
  return {
    add(ended) {
      const number = numberNow();
      let slice = slices.at(-1);
      if (slice?.number !== number) {
        slice = { number, operations: 0, failures: 0, slow: 0 };
        slices.push(slice);
        if (slices.length > SLICES) slices.shift();
      }
      slice.operations++;
      if (ended !== 'done') slice.failures++;
      if (ended === 'slow') slice.slow++;
    },
    read() {
      const oldest = numberNow() - SLICES + 1;
      const recent = slices.filter(({ number }) => number >= oldest);
      const sum = (of: keyof Counts) => recent.reduce((total, slice) => total + slice[of], 0);
      return { operations: sum('operations'), failures: sum('failures'), slow: sum('slow') };
    },
  };
}
