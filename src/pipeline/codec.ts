import { JobError } from '../domain/errors.js';
import type { Claimant } from '../domain/job.js';

/**
 * Runs one computation of libvips when a codec slot is free. All computations use it, because each one occupies a thread
 * of Node's pool from start to end, and DNS look-ups and file reads need threads of the same pool.
 * @param costMs rough duration in milliseconds; a short computation does not wait for long ones
 * @throws JobError `WORKER_OVERLOADED` when the machine lacks memory, threads or files for it; the job's own reason to end
 *   while it waits; any error of the computation
 */
export type Codec = <T>(costMs: number, compute: () => Promise<T>) => Promise<T>;

/** Creates the codec of one job. */
export type Codecs = (claimant: Claimant, signal: AbortSignal) => Codec;

/** A codec without slots, for a single picture. */
export const atOnce: Codec = (_costMs, compute) => orOverloaded(compute);

/** Cost of reading the structure of a file of any size, in milliseconds. */
export const HEADER_MS = 5;
/** Measured cost of resizing, in nanoseconds per pixel of the larger picture. */
export const RESIZE_NS = 20;

/** @param ns cost per pixel in nanoseconds. @returns milliseconds */
export const costOf = ({ width, height }: { readonly width: number; readonly height: number }, ns: number): number =>
  (width * height * ns) / 1e6;

/**
 * Error texts of libvips, its decoders and encoders, and the system for a shortage of the machine. The picture is never the
 * cause: it works on another worker, or a minute later.
 */
const SHORTAGES = [
  /out of memory/i,
  /(?:cannot|can't|could not|unable to|failed to) (?:re)?allocate/i,
  /(?:memory )?allocation (?:failed|error|failure)/i,
  /insufficient memory/i,
  /not enough memory/i,
  // libaom reports this when it cannot allocate its buffers. The pixels are valid, because they come from this worker.
  /encoder plugin generated an error: initialization problem/i,
  /\bE(?:NOMEM|AGAIN|MFILE|NFILE|NOSPC|DQUOT)\b/,
  /unable to create thread|error creating thread|resource temporarily unavailable/i,
  /too many open files/i,
  /no space left on device|disk quota exceeded/i,
  /unable to make temporary file|unable to open temp/i,
];
/** Error text of libheif's limit against hostile files. It mentions allocation, too, but is not a shortage. */
const SECURITY_LIMIT = /security limit/i;

/** Whether the machine caused an error, and not the picture. */
export function isShortage(thrown: unknown): boolean {
  if (thrown instanceof JobError) return false;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = (thrown as { code?: unknown } | null)?.code;
  const text = typeof code === 'string' ? `${code} ${message}` : message;
  return !SECURITY_LIMIT.test(text) && SHORTAGES.some((shortage) => shortage.test(text));
}

/** @returns JobError `WORKER_OVERLOADED` for a shortage; anything else as it is */
export function asShortage(thrown: unknown): unknown {
  if (!isShortage(thrown)) return thrown;
  const [line = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n', 1);
  return new JobError('WORKER_OVERLOADED', `the worker lacks memory, threads or files: ${line}`, { cause: thrown });
}

/** @throws JobError `WORKER_OVERLOADED` for a shortage; whatever else the computation throws */
export async function orOverloaded<T>(compute: () => Promise<T>): Promise<T> {
  try {
    return await compute();
  } catch (thrown) {
    throw asShortage(thrown);
  }
}
