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

/** A redrive that failed as the job before it did is not repeated sooner, in milliseconds. */
export const SAME_FAILURE_PAUSE_MS = 300_000;

/** How a job ended, and when. */
export interface End {
  readonly completion: Completion;
  /** Undefined if a list did not show the record yet: then it ended a moment ago. */
  readonly endedAt: Date | undefined;
}

/**
 * Finds out whether nothing seems to have changed since the last redrive, so that the same command again publishes nothing.
 * It asks only where it cannot be seen whether somebody has mended the cause. An input that was missing and is there now
 * counts as mended.
 * @param before how the job ended that the last redrive repeated
 * @returns a sentence that says why; undefined if it may succeed
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function whyTooSoon(
  store: ObjectStore,
  lastId: string,
  { completion: { error }, endedAt = new Date() }: End,
  before: Completion,
  message: JobMessage,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (error === undefined || error.code !== before.error?.code) return undefined;
  if (Date.now() - endedAt.getTime() >= SAME_FAILURE_PAUSE_MS) return undefined;
  const { code } = error;
  if (isSeen(code, message)) return undefined;
  if (code === 'INPUT_NOT_FOUND' && (await isThere(store, message, signal))) return undefined;
  const minutes = SAME_FAILURE_PAUSE_MS / 60_000;
  return `${code}: ${lastId} failed in the same way less than ${minutes} minutes ago: mend the cause, then wait or force it`;
}

/** Whether `whyInVain` has looked at the cause itself. */
function isSeen(code: string, { output }: JobMessage): boolean {
  return OF_THE_PICTURE.has(code) || (code === 'OUTPUT_EXISTS' && output?.uri !== undefined);
}

async function isThere(store: ObjectStore, { input }: JobMessage, signal: AbortSignal): Promise<boolean> {
  const now = await store.stat(objectRef(input.uri), signal);
  return now !== undefined && (input.generation === undefined || input.generation === now.generation);
}

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
