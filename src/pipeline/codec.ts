import { JobError } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';

/**
 * Runs one computation of libvips when there is room for it. All of them go through this: they take a thread of Node's pool
 * from their beginning to their end, and look-ups of names and reads of files wait for a thread of the same pool.
 * @param costMs what it will take, roughly: a short one does not wait for long ones
 * @throws JobError `WORKER_OVERLOADED` when the machine lacks memory, threads or files for it; the job's own reason to end
 *   while it waits; whatever the computation throws
 */
export type Codec = <T>(costMs: number, compute: () => Promise<T>) => Promise<T>;

/** The codec of one job. */
export type Codecs = (priority: Priority, signal: AbortSignal) => Codec;

/** For one picture alone: nobody waits. */
export const atOnce: Codec = (_costMs, compute) => orOverloaded(compute);

/** For costs of a computation that reads the structure of a file, whatever its size. */
export const HEADER_MS = 5;
/** To resize, for each pixel of the larger picture; measured, as all costs here. */
export const RESIZE_NS = 20;

/** @param ns for each pixel */
export const costOf = ({ width, height }: { readonly width: number; readonly height: number }, ns: number): number =>
  (width * height * ns) / 1e6;

/**
 * How libvips, its decoders and encoders, and the system say that the machine has no more of something. Such an error is
 * never the picture's: the same picture is well on another worker, or a minute later.
 */
const SHORTAGES = [
  /out of memory/i,
  /(?:cannot|can't|could not|unable to|failed to) (?:re)?allocate/i,
  /(?:memory )?allocation (?:failed|error|failure)/i,
  /insufficient memory/i,
  /not enough memory/i,
  // libaom, when it cannot make its buffers; the pixels are ours.
  /encoder plugin generated an error: initialization problem/i,
  /\bE(?:NOMEM|AGAIN|MFILE|NFILE|NOSPC|DQUOT)\b/,
  /unable to create thread|error creating thread|resource temporarily unavailable/i,
  /too many open files/i,
  /no space left on device|disk quota exceeded/i,
  /unable to make temporary file|unable to open temp/i,
];
/** A limit of libheif's against hostile files; it, too, speaks of allocation. */
const SECURITY_LIMIT = /security limit/i;

/** Whether an error tells of the machine and not of the picture. */
export function isShortage(thrown: unknown): boolean {
  if (thrown instanceof JobError) return false;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = (thrown as { code?: unknown } | null)?.code;
  const text = typeof code === 'string' ? `${code} ${message}` : message;
  return !SECURITY_LIMIT.test(text) && SHORTAGES.some((shortage) => shortage.test(text));
}

/** @throws JobError `WORKER_OVERLOADED` for a shortage; whatever else the computation throws */
export async function orOverloaded<T>(compute: () => Promise<T>): Promise<T> {
  try {
    return await compute();
  } catch (cause) {
    if (!isShortage(cause)) throw cause;
    const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1);
    throw new JobError('WORKER_OVERLOADED', `the worker lacks memory, threads or files: ${line}`, { cause });
  }
}
