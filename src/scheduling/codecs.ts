import { setTimeout as sleep } from 'node:timers/promises';
import { JobError } from '../domain/errors.js';
import type { Claimant } from '../domain/job.js';
import { type Codecs, orOverloaded } from '../pipeline/codec.js';
import { backoffMs } from '../pipeline/retry.js';
import { createWaitQueue } from './wait-queue.js';

/**
 * Longest computation that counts as small, in milliseconds of one processor: reading a JPEG of 60 megapixels, or writing a
 * WebP of 6 or an AVIF of 0.1 megapixels. A small computation may have to wait this long for another.
 */
const SMALL_MS = 500;
/** Attempts at a computation for which the machine lacks memory, threads or files. */
const ATTEMPTS = 4;
const FIRST_PAUSE_STEP = 4;

/**
 * Number of threads in Node's pool in the image, the manifests and the local stack. Node reads `UV_THREADPOOL_SIZE` before
 * it loads the first module (Node 20), so the program cannot set it for itself.
 */
export const POOL_THREADS = 8;

/**
 * How many decoders and encoders may compute at once. Half of the pool stays free for other work: name look-ups (libuv
 * limits these to half of the pool) and files. More large computations than processors would only cost memory. One extra
 * slot is for a small computation, which shares their processors. The minimum is two: one large and one small.
 * @param poolThreads of libuv: `UV_THREADPOOL_SIZE`, or 4
 */
export function codecSlots(poolThreads: number, processors: number): number {
  return Math.max(2, Math.min(processors + 1, Math.floor(poolThreads / 2)));
}

export interface CodecRoom {
  readonly codecs: Codecs;
  readonly running: () => number;
  readonly waiting: () => number;
}

interface Wanted extends Claimant {
  readonly small: boolean;
}

/**
 * The slots in which decoders and encoders of all jobs compute. A computation cannot be interrupted, and a large AVIF takes
 * minutes. So large computations never take all slots, and a small one waits only for small ones.
 * @param slots at least two: one that large computations may use, one that they may not
 * @param pauseMs between two attempts when the machine lacks a resource
 */
export function createCodecs(slots: number, pauseMs: (failures: number) => number = pauseAfter): CodecRoom {
  let running = 0;
  let large = 0;
  /** Serving a request gives it the function that releases its slot. */
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

  const codecs: Codecs =
    ({ priority, tenant }, signal) =>
    async (costMs, compute) => {
      for (let failures = 1; ; failures++) {
        const leave = await queue.wait({ priority, tenant, small: costMs <= SMALL_MS }, signal);
        try {
          return await orOverloaded(compute);
        } catch (thrown) {
          if (!(thrown instanceof JobError) || thrown.code !== 'WORKER_OVERLOADED' || failures >= ATTEMPTS)
            throw thrown;
        } finally {
          leave();
        }
        // Other computations release their resources during the pause.
        await sleep(pauseMs(failures), undefined, { signal });
      }
    };
  return { codecs, running: () => running, waiting: () => queue.length };
}

/** Pauses of up to about one, two and three seconds. */
function pauseAfter(failures: number): number {
  return backoffMs(failures + FIRST_PAUSE_STEP);
}
