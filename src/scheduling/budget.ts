import type { Claimant } from '../domain/job.js';
import type { Reserve } from '../pipeline/memory.js';
import { createWaitQueue, type WaitQueue } from './wait-queue.js';

/** Share of the memory that is reserved for small pictures, up to `MOST_KEPT` bytes. */
const KEPT_FOR_SMALL = 1 / 8;
const MOST_KEPT = 128 * 1024 ** 2;
/** Largest part of the reserved memory that one small picture may need. */
const SMALL = 1 / 4;
/** How long others may overtake a picture that waits for memory, in milliseconds. */
const OVERTAKEN_MS = 10_000;

/**
 * Memory for pictures, shared by all jobs in work.
 *
 * - An eighth of it, at most 128 MiB, is reserved for small pictures: those that need at most a quarter of the reserved
 *   part. Small pictures use the reserved part first, then the common part.
 * - All other pictures use the common part, which is the rest. A picture that needs more than the common part gets all of it
 *   and works beside small pictures only. Then the pictures may together exceed the limit by the size of the reserved part.
 * - The budget serves what fits in turn (`createWaitQueue`), and what fits may overtake what does not. Once a large picture
 *   has waited ten seconds, it alone gets all common memory that is released, after large pictures of the tenants that have
 *   their turn before. Among several such pictures, the tenant whose turn it is decides, then the longest wait.
 *
 * So a small picture waits, in the worst case, until the reserved part has served the small pictures before it. A large one
 * waits ten seconds, then for the release of what was given out in that time, and for the large pictures before it: those of
 * its own tenant, and one of each other tenant.
 */
export interface Budget {
  /**
   * Waits until that many bytes are free.
   * @throws the signal's reason
   */
  readonly reserve: Reserve;
  /**
   * Reserves that many bytes at once, or not at all.
   * @returns the function that releases them; undefined if they are not free, or if others wait
   */
  readonly take: (bytes: number) => (() => void) | undefined;
  /** Bytes reserved now. */
  readonly held: () => number;
  readonly waiting: () => number;
}

interface Wanted extends Claimant {
  readonly bytes: number;
  readonly since: number;
}

interface Part {
  readonly limit: number;
  held: number;
}

/** Bytes reserved for small pictures, out of `limit` bytes. */
export function keptForSmall(limit: number): number {
  return Math.min(Math.floor(limit * KEPT_FOR_SMALL), MOST_KEPT);
}

/**
 * @param limit in bytes
 * @param now milliseconds on a monotonic clock
 */
export function createBudget(limit: number, now: () => number = () => performance.now()): Budget {
  const kept: Part = { limit: keptForSmall(limit), held: 0 };
  const common: Part = { limit: limit - kept.limit, held: 0 };
  const small = createWaitQueue<Wanted, () => void>(admitNext);
  const large = createWaitQueue<Wanted, () => void>(admitNext);

  /**
   * Serves one request of the queue from a part of the memory.
   * @param late a request that only tenants ahead of its own may overtake
   * @returns whether one could be served
   */
  function serveFrom(part: Part, queue: WaitQueue<Wanted, () => void>, late?: Wanted): boolean {
    const mayOvertake = (one: Wanted) => !late || one === late || queue.isAhead(one, late);
    const can = (one: Wanted) => part.held + one.bytes <= part.limit && mayOvertake(one);
    return queue.serve(can, ({ bytes }) => hold(part, bytes));
  }

  function hold(part: Part, bytes: number): () => void {
    part.held += bytes;
    return () => {
      part.held -= bytes;
      admitNext();
    };
  }

  // Round up to whole bytes: fractions would not sum to exactly zero again.
  const bytesFor = (wanted: number) => Math.min(Math.ceil(wanted), common.limit);
  const isSmall = (bytes: number) => bytes <= kept.limit * SMALL;

  function serveFromCommon(): boolean {
    const late = large.late(({ since }) => now() - since > OVERTAKEN_MS);
    if (late) return serveFrom(common, large, late);
    return serveFrom(common, large) || serveFrom(common, small);
  }

  function admitNext(): void {
    while (serveFrom(kept, small) || serveFromCommon());
  }

  return {
    held: () => kept.held + common.held,
    waiting: () => small.length + large.length,
    reserve(wanted, signal, { priority, tenant }) {
      const bytes = bytesFor(wanted);
      return (isSmall(bytes) ? small : large).wait({ bytes, priority, tenant, since: now() }, signal);
    },
    take(wanted) {
      if (small.length + large.length > 0) return undefined;
      const bytes = bytesFor(wanted);
      const part = (isSmall(bytes) ? [kept, common] : [common]).find((one) => one.held + bytes <= one.limit);
      return part && hold(part, bytes);
    },
  };
}
