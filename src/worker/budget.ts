import type { Reserve } from '../pipeline/memory.js';

/** Memory for pictures, shared by all jobs in work. Who asks first is served first. */
export interface Budget {
  /**
   * Waits until so much is free. A job that needs more than there is has all of it, alone.
   * @throws the signal's reason
   */
  readonly reserve: Reserve;
  /** Bytes reserved now. */
  readonly held: () => number;
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

/** @param limit in bytes */
export function createBudget(limit: number): Budget {
  let held = 0;
  const waiting: Waiting[] = [];

  function admitNext(): void {
    for (let next = waiting[0]; next && held + next.bytes <= limit; next = waiting[0]) {
      waiting.shift();
      held += next.bytes;
      next.admit();
    }
  }

  return {
    held: () => held,
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
