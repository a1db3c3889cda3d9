/**
 * Memory of large buffers of pixels, used again by later jobs. V8 starts a major garbage collection for every 64 MB of new
 * buffers, which took a quarter of a busy worker's processor time. Buffers that are not given back are garbage like any other.
 */

/** Smaller buffers cost V8 little. */
const LEAST_BYTES = 64 * 1024;
/**
 * Larger ones are left to V8. If they were kept, a job of several operations would hold a third picture: no new buffers would make
 * V8 collect the one before the last. A photograph of 12 megapixels has 36 MB.
 */
const MOST_BYTES = 48 * 1024 ** 2;
/** Most memory that is kept for later, in bytes. */
const MOST_KEPT_BYTES = 64 * 1024 ** 2;
/** Memory that nobody has needed for this long is dropped, in milliseconds. */
const UNUSED_MS = 5_000;
/** Sizes are rounded up to one of so many in each octave, so that pictures of nearly the same size share memory. */
const SIZES_IN_OCTAVE = 4;

interface Kept {
  readonly memory: ArrayBufferLike;
  readonly since: number;
}

const kept = new Map<number, Kept[]>();
let keptBytes = 0;
/**
 * What may be given back. Buffers, because a buffer that was given back must not give back its memory again, which may be
 * another's by then. Not a list, so that lost buffers are collected.
 */
const lent = new WeakSet<Buffer>();
let sweep: NodeJS.Timeout | undefined;

/**
 * A buffer with any contents, as of `Buffer.allocUnsafe`: the caller overwrites all of it.
 * @param bytes its length
 */
export function acquirePixels(bytes: number): Buffer {
  if (bytes < LEAST_BYTES || bytes > MOST_BYTES) return Buffer.allocUnsafe(bytes);
  const size = roundUp(bytes);
  const found = kept.get(size)?.pop();
  if (found) keptBytes -= size;
  const memory = found?.memory ?? Buffer.allocUnsafeSlow(size).buffer;
  const buffer = Buffer.from(memory, 0, bytes);
  lent.add(buffer);
  return buffer;
}

/**
 * Gives a buffer back. Nobody may read or write it any more: not the caller, and no request or computation that has not ended,
 * such as one that was given up. Views, buffers of other origin, and those that were given back before are ignored.
 */
export function releasePixels(buffer: Buffer): void {
  if (!lent.delete(buffer)) return;
  const { buffer: memory } = buffer;
  const size = memory.byteLength;
  if (keptBytes + size > MOST_KEPT_BYTES) return;
  keptBytes += size;
  const same = kept.get(size) ?? [];
  kept.set(size, same);
  same.push({ memory, since: performance.now() });
  sweep ??= setTimeout(dropUnused, UNUSED_MS).unref();
}

/** Bytes that are kept for later. */
export function keptPixels(): number {
  return keptBytes;
}

/** The buffer used last is taken first, so the first ones are those that nobody needed. */
function dropUnused(): void {
  sweep = undefined;
  const before = performance.now() - UNUSED_MS;
  for (const [size, same] of kept) {
    const needed = same.filter(({ since }) => since > before);
    keptBytes -= (same.length - needed.length) * size;
    if (needed.length > 0) kept.set(size, needed);
    else kept.delete(size);
  }
  if (kept.size > 0) sweep = setTimeout(dropUnused, UNUSED_MS).unref();
}

function roundUp(bytes: number): number {
  const step = 2 ** Math.floor(Math.log2(bytes)) / SIZES_IN_OCTAVE;
  return Math.ceil(bytes / step) * step;
}
