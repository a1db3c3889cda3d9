import type { Priority } from '../domain/job.js';
import { createWaitQueue } from './wait-queue.js';

/**
 * Runs work when fewer than so much runs, in turn (`createWaitQueue`).
 * @throws the signal's reason, while it waits; what the work throws
 */
export type Slots = <T>(priority: Priority, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

/** @param most what may run at once */
export function createSlots(most: number): Slots {
  let running = 0;
  const queue = createWaitQueue<{ readonly priority: Priority }, undefined>(admitNext);

  function admitNext(): void {
    while (running < most && queue.serve(() => true, take));
  }

  function take(): undefined {
    running++;
  }

  return async (priority, signal, work) => {
    await queue.wait({ priority }, signal);
    try {
      return await work();
    } finally {
      running--;
      admitNext();
    }
  };
}
