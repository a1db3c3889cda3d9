import type { Claimant } from '../domain/job.js';
import { createWaitQueue } from './wait-queue.js';

/**
 * Runs at most a fixed number of calls at once. The others wait in turn (`createWaitQueue`).
 * @throws the signal's reason, while it waits; errors of the work
 */
export type Slots = <T>(claimant: Claimant, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

/** @param most calls that may run at once */
export function createSlots(most: number): Slots {
  let running = 0;
  const queue = createWaitQueue<Claimant, undefined>(admitNext);

  function admitNext(): void {
    while (running < most && queue.serve(() => true, take));
  }

  function take(): undefined {
    running++;
  }

  return async (claimant, signal, work) => {
    await queue.wait(claimant, signal);
    try {
      return await work();
    } finally {
      running--;
      admitNext();
    }
  };
}
