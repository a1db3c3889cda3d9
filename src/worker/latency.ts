/** Compares how long an arm's requests take with those of the default version. */

/** Limit of operations to keep for each side. */
export const MOST_KEPT = 500;
/** Operations that the default version needs in a size class before an arm's are compared with their median. */
const LEAST_TO_COMPARE = 5;

export interface Latencies {
  /** @param pixels of one request, on average @param seconds that one request took, on average */
  add(side: 'arm' | 'default', pixels: number, seconds: number): void;
  /**
   * The median of the arm's operations, each divided by the median of the default version's operations of its size class.
   * `compared` counts the arm's operations that have such a median; `ratio` is 0 if there are none.
   */
  read(): { readonly compared: number; readonly ratio: number };
}

interface Sample {
  readonly at: number;
  readonly size: number;
  readonly seconds: number;
}

/**
 * Compares only requests of about the same size, since a small request costs more per pixel than a large one. It takes
 * medians, since one operation that waited for a reload of its model must not stop an arm.
 * @param now milliseconds on a monotonic clock
 */
export function createLatencies(windowMs: number, now: () => number = () => performance.now()): Latencies {
  const samples = { arm: [] as Sample[], default: [] as Sample[] };
  const recent = (side: keyof typeof samples) => samples[side].filter(({ at }) => at > now() - windowMs);
  return {
    add(side, pixels, seconds) {
      samples[side].push({ at: now(), size: Math.round(Math.log2(pixels)), seconds });
      if (samples[side].length > MOST_KEPT) samples[side].shift();
    },
    read() {
      const usual = new Map<number, number[]>();
      for (const { size, seconds } of recent('default')) usual.set(size, [...(usual.get(size) ?? []), seconds]);
      const medians = new Map([...usual].map(([size, all]) => [size, all.length < LEAST_TO_COMPARE ? 0 : median(all)]));
      const ratios = recent('arm').flatMap(({ size, seconds }) => {
        const beside = medians.get(size) ?? 0;
        return beside > 0 ? [seconds / beside] : [];
      });
      return { compared: ratios.length, ratio: median(ratios) };
    },
  };
}

/** The lower one of two middle values; 0 if there are none. */
function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}
