/** How many recent operations there were, and how many of them failed. */
export interface Tally {
  add(failed: boolean): void;
  read(): { readonly operations: number; readonly failures: number };
}

/**
 * Slices per window. Operations leave the window slice by slice, so that a busy window takes no more memory than a quiet
 * one.
 */
const SLICES = 20;

/** @param now milliseconds on a monotonic clock */
export function createTally(windowMs: number, now: () => number = () => performance.now()): Tally {
  const slices: { readonly number: number; operations: number; failures: number }[] = [];
  const numberNow = () => Math.floor((now() * SLICES) / windowMs);
  return {
    add(failed) {
      const number = numberNow();
      let slice = slices.at(-1);
      if (slice?.number !== number) {
        slice = { number, operations: 0, failures: 0 };
        slices.push(slice);
        if (slices.length > SLICES) slices.shift();
      }
      slice.operations++;
      if (failed) slice.failures++;
    },
    read() {
      const oldest = numberNow() - SLICES + 1;
      const recent = slices.filter(({ number }) => number >= oldest);
      return {
        operations: recent.reduce((sum, { operations }) => sum + operations, 0),
        failures: recent.reduce((sum, { failures }) => sum + failures, 0),
      };
    },
  };
}
