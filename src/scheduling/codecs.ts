import { setTimeout as sleep } from 'node:timers/promises';
import { JobError } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';
import { type Codecs, orOverloaded } from '../pipeline/codec.js';
import { backoffMs } from '../pipeline/retry.js';
import { createWaitQueue } from './wait-queue.js';

/**
 * What counts as small, in milliseconds of one processor: a JPEG of 60 megapixels to be read, one of WebP of 6 or one of
 * AVIF of a tenth of a megapixel to be written. It is also what a small one may have to wait for another.
 */
const SMALL_MS = 500;
/** How often a computation is tried again that the machine had no memory, threads or files for. */
const ATTEMPTS = 4;
const FIRST_PAUSE_STEP = 4;

/**
 * Threads of Node's pool in the image, the manifests and the local stack. Node reads `UV_THREADPOOL_SIZE` before it loads the
 * first module (Node 20), so the program cannot set it for itself.
 */
export const POOL_THREADS = 8;

/**
 * How many decoders and encoders may compute at once. Half of the pool stays free for what else needs it: look-ups of names
 * (libuv itself gives them half at the most) and files. More large ones than there are processors would only cost memory; the
 * slot beside these is for a small one, which shares their processors. At least two: a large one, and a small one.
 * @param poolThreads of libuv, which are `UV_THREADPOOL_SIZE`, or 4
 */
export function codecSlots(poolThreads: number, processors: number): number {
  return Math.max(2, Math.min(processors + 1, Math.floor(poolThreads / 2)));
}

export interface CodecRoom {
  readonly codecs: Codecs;
  /** Computing now. */
  readonly running: () => number;
  readonly waiting: () => number;
}

interface Wanted {
  readonly priority: Priority;
  readonly small: boolean;
}

/**
 * The slots in which decoders and encoders of all jobs compute. A computation cannot be interrupted, and a large AVIF takes
 * minutes; so large ones never have all slots, and a small one waits for small ones alone.
 * @param slots at least two: one that large ones may have, one that they may not
 * @param pauseMs between two attempts when the machine lacks something
 */
export function createCodecs(slots: number, pauseMs: (failures: number) => number = pauseAfter): CodecRoom {
  let running = 0;
  let large = 0;
  /** Gives whoever is served what gives the slot back. */
  const queue = createWaitQueue<Wanted, () => void>(admitNext);

  function admitNext(): void {
    const can = ({ small }: Wanted) => running < slots && (small || large < slots - 1);
    while (queue.serve(can, take));
  }

  function take({ small }: Wanted): () => void {
    running++;
    if (!small) large++;
    return () => {
      running--;
      if (!small) large--;
      admitNext();
    };
  }

  const codecs: Codecs = (priority, signal) => async (costMs, compute) => {
    for (let failures = 1; ; failures++) {
      const leave = await queue.wait({ priority, small: costMs <= SMALL_MS }, signal);
      try {
        return await orOverloaded(compute);
      } catch (thrown) {
        if (!(thrown instanceof JobError) || thrown.code !== 'WORKER_OVERLOADED' || failures >= ATTEMPTS) throw thrown;
      } finally {
        leave();
      }
      // Others give back what they hold meanwhile.
      await sleep(pauseMs(failures), undefined, { signal });
    }
  };
  return { codecs, running: () => running, waiting: () => queue.length };
}

/** Up to one, two and three seconds or so. */
function pauseAfter(failures: number): number {
  return backoffMs(failures + FIRST_PAUSE_STEP);
}
