/**
 * Which deliveries of a message have come as far as being worked on. Pub/Sub counts them all: also those that lay in a
 * worker, unbegun, when a neighbour killed it. So that a job pays for its own doings only, each attempt but the first leaves
 * a mark before it begins, and a message that has used up its deliveries is judged by its marks.
 */
import type { Delivery, ObjectStore } from '../domain/ports.js';
import { type ObjectRef, under } from '../domain/uri.js';

/** `~` and the ending keep it apart from every record. */
function markRef(statePrefix: string, jobId: string, messageId: string, attempt: number): ObjectRef {
  return under(statePrefix, `${jobId}~${messageId}~${attempt}.begun`);
}

/**
 * Leaves the mark of this attempt. First ones leave none: nearly all jobs have no other.
 * @param given the delivery as it came
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function markBegun(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  given: Delivery,
  signal: AbortSignal,
): Promise<void> {
  if (given.attempt < 2) return;
  const ref = markRef(statePrefix, jobId, given.messageId, given.attempt);
  await store.create(ref, Buffer.alloc(0), { contentType: 'application/octet-stream', signal });
}

/**
 * How many attempts of the message have begun before this one, in this life of it; the first counts as begun.
 * @param given the delivery as it came
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function attemptsBegun(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  given: Delivery,
  signal: AbortSignal,
): Promise<number> {
  const later = Array.from({ length: Math.max(0, given.attempt - 2) }, (_, i) => i + 2);
  const marks = later.map((attempt) => store.stat(markRef(statePrefix, jobId, given.messageId, attempt), signal));
  return 1 + (await Promise.all(marks)).filter((mark) => mark !== undefined).length;
}
