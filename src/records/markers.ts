/**
 * Marks that a message leaves in storage, next to the records.
 *
 * `begun`: which deliveries have come as far as being worked on. Pub/Sub counts them all, also those that lay in a worker,
 * unbegun, when a neighbour killed it. So that a job pays for its own doings only, each attempt but the first leaves a
 * mark before it begins, and the attempts of a message are counted by its marks.
 *
 * `moved`: a copy of the message has been put back into the queue. Acks may get lost; without the mark, each delivery that
 * comes again would be put back once more.
 */
import type { Delivery, ObjectStore } from '../domain/ports.js';
import { type ObjectRef, under } from '../domain/uri.js';

/** The endings of marks; `~` keeps them apart from every record. */
export const MARKER_SUFFIXES = ['.begun', '.moved'] as const;

/** The message that a mark belongs to: the delivery as it came. */
export interface Marked {
  readonly jobId: string;
  readonly given: Delivery;
}

const begunRef = (statePrefix: string, { jobId, given }: Marked, attempt: number): ObjectRef =>
  under(statePrefix, `${jobId}~${given.messageId}~${attempt}.begun`);
const movedRef = (statePrefix: string, { jobId, given }: Marked): ObjectRef =>
  under(statePrefix, `${jobId}~${given.messageId}.moved`);

const EMPTY = { contentType: 'application/octet-stream' };

/**
 * Leaves the mark of this attempt. First ones leave none: nearly all jobs have no other.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function leaveAttemptMarker(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<void> {
  const { attempt } = marked.given;
  if (attempt < 2) return;
  await store.create(begunRef(statePrefix, marked, attempt), Buffer.alloc(0), { ...EMPTY, signal });
}

/**
 * How many deliveries of the message have left a mark before this one, in this life of it. The first leaves none.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function countAttemptMarkers(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<number> {
  const later = Array.from({ length: Math.max(0, marked.given.attempt - 2) }, (_, i) => i + 2);
  const marks = later.map((attempt) => store.stat(begunRef(statePrefix, marked, attempt), signal));
  return (await Promise.all(marks)).filter((mark) => mark !== undefined).length;
}

/** @throws JobError `STORAGE_UNAVAILABLE` */
export async function leaveMovedMarker(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<void> {
  await store.create(movedRef(statePrefix, marked), Buffer.alloc(0), { ...EMPTY, signal });
}

/**
 * Whether a copy of the message is in the queue already. Not asked of first deliveries, which have no former one.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function wasMoved(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<boolean> {
  if (marked.given.attempt < 2) return false;
  return (await store.stat(movedRef(statePrefix, marked), signal)) !== undefined;
}
