/** Which jobs would fail again in the same way. */
import type { Completion } from '../domain/completion.js';
import type { ErrorCode } from '../domain/errors.js';
import type { JobMessage } from '../domain/job.js';
import type { ObjectStore } from '../domain/ports.js';
import { objectRef } from '../domain/uri.js';

/** The message itself is wrong, and a redrive has the same. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set<ErrorCode>([
  ...(['INVALID_MESSAGE', 'UNSUPPORTED_SCHEMA', 'INVALID_PARAMETERS', 'JOB_ID_REUSED'] as const),
]);

/** The picture is wrong, and stays so unless it is replaced. */
const OF_THE_PICTURE: ReadonlySet<string> = new Set<ErrorCode>([
  ...(['INPUT_TOO_LARGE', 'INPUT_EMPTY', 'UNSUPPORTED_FORMAT', 'INPUT_CORRUPT', 'INPUT_TOO_MANY_PIXELS'] as const),
  ...(['OUTPUT_TOO_LARGE', 'MODEL_REJECTED_INPUT'] as const),
]);

/**
 * Finds out whether a job would fail again as it did. Anything that somebody may have mended counts as mended: a model, a
 * bucket, an input that was missing. A picture counts if the object at its address is another one now.
 * @returns a sentence that says why; undefined if it may succeed
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function whyInVain(
  store: ObjectStore,
  { status, error, input }: Completion,
  message: JobMessage,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (status === 'canceled') return 'it was canceled';
  if (error === undefined) return undefined;
  const { code } = error;
  if (OF_THE_MESSAGE.has(code)) return `${code}: the same message would be refused again`;
  if (code === 'WORKER_LOST') return 'WORKER_LOST: each attempt ended with its worker, and the next one may, too';
  if (OF_THE_PICTURE.has(code)) {
    const now = message.input.generation ?? (await store.stat(objectRef(message.input.uri), signal))?.generation;
    if (now === undefined || now === input?.generation) return `${code}: the picture is the same as before`;
  }
  if (code === 'OUTPUT_EXISTS' && message.output?.uri !== undefined) {
    if (await store.stat(objectRef(message.output.uri), signal)) return `${code}: ${message.output.uri} is still there`;
  }
  return undefined;
}
