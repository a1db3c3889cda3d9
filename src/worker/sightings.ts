/** Remembers since when the worker has found something away, without a break, that jobs need. */
export interface Sightings {
  /**
   * Notes that it is away now.
   * @param label from `needLabel`
   * @param usedAt when this worker last used it successfully, by `Date.now()`
   * @returns since when it is known to be away, by `Date.now()`
   */
  away(label: string, usedAt?: number): number;
}

/** Two sightings further apart than this say nothing about the time in between, in milliseconds. */
export const MOST_UNSEEN_MS = 60_000;
/** Limit of labels to remember. Those of single objects come from jobs and may be anything. */
const MOST_LABELS = 1_000;

/** @param now like `Date.now()` */
export function createSightings(now: () => number = () => Date.now()): Sightings {
  const sightings = new Map<string, { readonly since: number; readonly seenAt: number }>();
  return {
    away(label, usedAt = -Infinity) {
      const known = sightings.get(label);
      const goesOn = known && now() - known.seenAt <= MOST_UNSEEN_MS && usedAt <= known.since;
      const since = goesOn ? known.since : now();
      sightings.delete(label);
      sightings.set(label, { since, seenAt: now() });
      const [oldest] = sightings.keys();
      if (oldest !== undefined && sightings.size > MOST_LABELS) sightings.delete(oldest);
      return since;
    },
  };
}
