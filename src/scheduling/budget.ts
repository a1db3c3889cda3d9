import type { Priority } from '../domain/job.js';
import type { Reserve } from '../pipeline/memory.js';
import { createWaitQueue, type WaitQueue } from './wait-queue.js';

/** This part of the memory is kept for small pictures, but no more than that many bytes. */
const KEPT_FOR_SMALL = 1 / 8;
const MOST_KEPT = 128 * 1024 ** 2;
/** Of the kept part, what one picture may take to count as small. */
const SMALL = 1 / 4;
/** How long others may overtake a picture that waits for more than is free. */
const OVERTAKEN_MS = 10_000;

/**
 * Memory for pictures, shared by all jobs in work.
 *
 * - An eighth of it, 128 MiB at the most, is kept for small pictures: those that need a quarter of that or less. They take
 *   from there first, and then from what is common.
 * - All others take from what is common, which is the rest. One that needs more than the rest has it all, and works beside
 *   small ones alone. So pictures may hold as much more than the limit as is kept, where one needs all of it.
 * - Whatever fits is served in turn (`createWaitQueue`) and may overtake what does not fit. Once the large picture that has
 *   waited longest has waited for ten seconds, all common memory that is given back is for it alone.
 *
 * So a small picture waits, at the worst, until those before it in its own line have been done from the kept part; and a
 * large one for ten seconds, for what was given out in them to be given back, and for the large ones before it.
 */
export interface Budget {
  /**
   * Waits until so much is free.
   * @throws the signal's reason
   */
  readonly reserve: Reserve;
  /** Bytes reserved now. */
  readonly held: () => number;
  /** How many wait. */
  readonly waiting: () => number;
}

interface Wanted {
  readonly bytes: number;
  readonly priority: Priority;
  readonly since: number;
}

interface Part {
  readonly limit: number;
  held: number;
}

/** What is kept for small pictures, of so many bytes. */
export function keptForSmall(limit: number): number {
  return Math.min(Math.floor(limit * KEPT_FOR_SMALL), MOST_KEPT);
}

/**
 * @param limit in bytes
 * @param now milliseconds on a clock that never goes back
 */
export function createBudget(limit: number, now: () => number = () => performance.now()): Budget {
  const kept: Part = { limit: keptForSmall(limit), held: 0 };
  const common: Part = { limit: limit - kept.limit, held: 0 };
  const small = createWaitQueue<Wanted, () => void>(admitNext);
  const large = createWaitQueue<Wanted, () => void>(admitNext);

  /** Serves one of the queue from a part of the memory. @returns whether any could be */
  function serveFrom(part: Part, queue: WaitQueue<Wanted, () => void>, only?: Wanted): boolean {
    const can = (one: Wanted) => (only ?? one) === one && part.held + one.bytes <= part.limit;
    return queue.serve(can, ({ bytes }) => {
      part.held += bytes;
      return () => {
        part.held -= bytes;
        admitNext();
      };
    });
  }

  function serveFromCommon(): boolean {
    const { oldest } = large;
    if (oldest && now() - oldest.since > OVERTAKEN_MS) return serveFrom(common, large, oldest);
    return serveFrom(common, large) || serveFrom(common, small);
  }

  function admitNext(): void {
    while (serveFrom(kept, small) || serveFromCommon());
  }

  return {
    held: () => kept.held + common.held,
    waiting: () => small.length + large.length,
    reserve(wanted, signal, priority) {
      // Whole bytes: sums of fractions would not come back to nothing.
      const bytes = Math.min(Math.ceil(wanted), common.limit);
      const queue = bytes <= kept.limit * SMALL ? small : large;
      return queue.wait({ bytes, priority, since: now() }, signal);
    },
  };
}
