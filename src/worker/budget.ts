import type { Reserve } from '../pipeline/memory.js';

/** For so long may who waits for more than is free be overtaken by others who need less. */
const OVERTAKEN_MS = 10_000;

/**
 * Memory for pictures, shared by all jobs in work. Who asks first is served first; but a large picture that waits does not
 * keep small ones from what is free, for some seconds.
 */
export interface Budget {
  /**
   * Waits until so much is free. A job that needs more than there is has all of it, alone.
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
  readonly since: number;
  readonly admit: () => void;
}

/**
 * @param limit in bytes
 * @param now milliseconds on a clock that never goes back
 */
export function createBudget(limit: number, now: () => number = () => performance.now()): Budget {
  let held = 0;
  const waiting: Waiting[] = [];

  function admitNext(): void {
    for (let i = 0; i < waiting.length;) {
      const next = waiting[i];
      if (!next) return;
      if (held + next.bytes <= limit) {
        waiting.splice(i, 1);
        held += next.bytes;
        next.admit();
      } else if (now() - next.since > OVERTAKEN_MS) return;
      else i++;
    }
  }

  return {
    held: () => held,
    waiting: () => waiting.length,
    reserve(wanted, signal) {
      const bytes = Math.min(wanted, limit);
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const giveUp = () => {
          waiting.splice(waiting.indexOf(one), 1);
          reject(signal.reason as Error);
          admitNext();
        };
        const one: Waiting = {
          bytes,
          since: now(),
          admit() {
            signal.removeEventListener('abort', giveUp);
            resolve(() => {
              held -= bytes;
              admitNext();
            });
          },
        };
        signal.addEventListener('abort', giveUp, { once: true });
        waiting.push(one);
        admitNext();
      });
    },
  };
}
