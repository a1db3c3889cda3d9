/**
 * Markers that a message leaves in storage, next to the records.
 *
 * `begun`: a delivery became an attempt. Pub/Sub counts all deliveries, even those that only waited in a worker when
 * another job killed it. A job should pay only for its own attempts. So each attempt except the first leaves a marker
 * before it starts, and the markers of a message count its attempts.
 *
 * `moved`: a copy of the message was put back into the queue. An ack may be lost. Without the marker, each redelivery would
 * put the message back once more.
 */
import type { Delivery, ObjectStore } from '../domain/ports.js';
import { type ObjectRef, under } from '../domain/uri.js';

/** Suffixes of markers, and of a group's places (groups.ts). The `~` in their names distinguishes them from records. */
export const MARKER_SUFFIXES = ['.begun', '.moved', '.ended'] as const;

/** The message to which a marker belongs, with its delivery as received. */
export interface Marked {
  readonly jobId: string;
  readonly raw: Delivery;
}

const begunRef = (statePrefix: string, { jobId, raw }: Marked, attempt: number): ObjectRef =>
  under(statePrefix, `${jobId}~${raw.messageId}~${attempt}.begun`);
const movedRef = (statePrefix: string, { jobId, raw }: Marked): ObjectRef =>
  under(statePrefix, `${jobId}~${raw.messageId}.moved`);

const EMPTY = { contentType: 'application/octet-stream' };

/**
 * Creates the marker of this attempt. A first attempt leaves none, because nearly all jobs have only one.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function leaveAttemptMarker(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<void> {
  const { attempt } = marked.raw;
  if (attempt < 2) return;
  await store.create(begunRef(statePrefix, marked, attempt), Buffer.alloc(0), { ...EMPTY, signal });
}

/**
 * Number of earlier deliveries of this message that left a marker. The first delivery leaves none. A copy that was put back
 * is a new message and starts at 0.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function countAttemptMarkers(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<number> {
  const later = Array.from({ length: Math.max(0, marked.raw.attempt - 2) }, (_, i) => i + 2);
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
 * Whether a copy of the message was put back already. For a first delivery it is false without a request, because no
 * earlier delivery can have put it back.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function wasMoved(
  store: ObjectStore,
  statePrefix: string,
  marked: Marked,
  signal: AbortSignal,
): Promise<boolean> {
  if (marked.raw.attempt < 2) return false;
  return (await store.stat(movedRef(statePrefix, marked), signal)) !== undefined;
}
