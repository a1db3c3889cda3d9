import type { Priority } from '../domain/job.js';
import type { Reserve } from '../pipeline/memory.js';
import { createLine } from './line.js';

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
 * - Whatever fits is served in turn (`createLine`) and may overtake what does not fit. Once the large picture that has
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

interface Waiting {
  readonly bytes: number;
  readonly priority: Priority;
  readonly since: number;
  readonly admit: (part: Part) => void;
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
  const small = createLine<Waiting>();
  const large = createLine<Waiting>();

  const fits = (part: Part) => (one: Waiting) => part.held + one.bytes <= part.limit;

  function admit(one: Waiting | undefined, part: Part): boolean {
    if (!one) return false;
    part.held += one.bytes;
    one.admit(part);
    return true;
  }

  function admitFromCommon(): boolean {
    const { oldest } = large;
    if (oldest && now() - oldest.since > OVERTAKEN_MS) {
      const fitting = fits(common);
      return admit(
        large.take((one) => one === oldest && fitting(one)),
        common,
      );
    }
    return admit(large.take(fits(common)), common) || admit(small.take(fits(common)), common);
  }

  function admitNext(): void {
    while (admit(small.take(fits(kept)), kept) || admitFromCommon());
  }

  return {
    held: () => kept.held + common.held,
    waiting: () => small.length + large.length,
    reserve(wanted, signal, priority) {
      // Whole bytes: sums of fractions would not come back to nothing.
      const bytes = Math.min(Math.ceil(wanted), common.limit);
      const line = bytes <= kept.limit * SMALL ? small : large;
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const giveUp = () => {
          line.remove(one);
          reject(signal.reason as Error);
          admitNext();
        };
        const one: Waiting = {
          ...{ bytes, priority, since: now() },
          admit(part) {
            signal.removeEventListener('abort', giveUp);
            resolve(() => {
              part.held -= bytes;
              admitNext();
            });
          },
        };
        signal.addEventListener('abort', giveUp, { once: true });
        line.push(one);
        admitNext();
      });
    },
  };
}
