/**
 * A version that did not answer a shadow gets no shadows for a while: a minute at first, then twice as long each time,
 * a day at most. Triton may go on with an abandoned request and hold its shared memory, which jobs need.
 */
export interface Rests {
  /** Notes that the version has not answered in time. */
  hung(model: string, version: string): void;
  /** Notes that the version has answered. */
  answered(model: string, version: string): void;
  isResting(model: string, version: string): boolean;
}

const FIRST_MS = 60_000;
const LONGEST_MS = 86_400_000;

/** @param now milliseconds on a monotonic clock */
export function createRests(now: () => number = () => performance.now()): Rests {
  /** Only versions in the routes are keys, so the map stays small. */
  const rests = new Map<string, { readonly times: number; readonly until: number }>();
  const keyOf = (model: string, version: string) => `${model}/${version}`;
  return {
    hung(model, version) {
      const times = (rests.get(keyOf(model, version))?.times ?? 0) + 1;
      const ms = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(times - 1, 32));
      rests.set(keyOf(model, version), { times, until: now() + ms });
    },
    answered: (model, version) => void rests.delete(keyOf(model, version)),
    isResting: (model, version) => now() < (rests.get(keyOf(model, version))?.until ?? -Infinity),
  };
}
