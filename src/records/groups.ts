/**
 * Counts the jobs of a group as they end, with nothing but objects that are created once.
 *
 * A group of `total` jobs has exactly `total` places, in shards of 200. A job that has ended creates one place, and
 * then lists its shard. A worker that sees a full shard creates the shard's mark, with its counts, and lists the marks.
 * A worker that sees the marks of all shards creates the outcome. There are as many places as jobs, so the last job
 * fills the last shard.
 *
 * Each step is repeated when its message comes again: a job tries shards and places in an order of its own, which is always
 * the same, and no place becomes free, so it finds the one that it has taken. The orders of jobs differ, so that jobs which
 * end together do not want the same place. The outcome names the job that closed the group, and that job's message
 * publishes it.
 *
 *   groups/<id>~<total>/00017/042.ended   a place; its metadata names the job and its status
 *   groups/<id>~<total>/full/00017.ended  the mark of a full shard; its metadata has the counts
 *   groups/<id>~<total>.json              the outcome
 */
import { createHash } from 'node:crypto';
import { JobError } from '../domain/errors.js';
import { STATUSES } from '../domain/completion.js';
import {
  type CountedGroup,
  countedAs,
  type GroupCompletion,
  groupCompletion,
  groupCompletionSchema,
  type GroupCounts,
  NO_COUNTS,
} from '../domain/group-completion.js';
import { pagesOf } from '../domain/pages.js';
import type { ListedObject, ObjectStore } from '../domain/ports.js';
import { type ObjectRef, objectUri, under } from '../domain/uri.js';
import type { RecordFacts } from './facts.js';

/** Places in a shard. Each end lists its whole shard, so shards are small. */
export const SHARD = 200;

const MAX_OUTCOME_BYTES = 65_536;
const MARK = { contentType: 'application/octet-stream' };

/** A job of the group that has ended. */
export interface GroupEnd {
  /** The id of the first job: a redrive takes the place of its job. */
  readonly jobId: string;
  readonly status: RecordFacts['status'];
  /** Whether nobody can have counted this end before. Then full shards are not searched for its place. */
  readonly isNew: boolean;
}

interface Counting {
  readonly store: ObjectStore;
  readonly statePrefix: string;
  readonly group: CountedGroup;
  readonly shards: number;
  readonly signal: AbortSignal;
}

/**
 * Counts the end of a job. It is safe to repeat, and to do at the same time for the same job.
 * @returns the outcome of the group, if this job has closed it and must publish it
 * @throws JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE`
 */
export async function countEnd(
  store: ObjectStore,
  statePrefix: string,
  group: CountedGroup,
  end: GroupEnd,
  signal: AbortSignal,
): Promise<GroupCompletion | undefined> {
  const counting = { store, statePrefix, group, shards: Math.ceil(group.total / SHARD), signal };
  if (!end.isNew) {
    const known = await readGroup(store, statePrefix, group, signal);
    if (known) return known.closedBy === end.jobId ? known : undefined;
  }
  const shard = await takePlace(counting, end);
  if (shard === undefined) return undefined;
  const places = await list(counting, shardRef(counting, shard));
  return places.length < capacityOf(counting, shard) ? undefined : close(counting, shard, places, end.jobId);
}

/** @returns how the group ended; undefined if it has not. @throws JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE` */
export async function readGroup(
  store: ObjectStore,
  statePrefix: string,
  group: CountedGroup,
  signal: AbortSignal,
): Promise<GroupCompletion | undefined> {
  const ref = outcomeRef(statePrefix, group);
  const found = await store.read(ref, { maxBytes: MAX_OUTCOME_BYTES, signal });
  if (found.kind === 'missing') return undefined;
  const outcome = found.kind === 'found' ? parse(found.bytes) : undefined;
  if (!outcome) throw new JobError('RECORD_UNREADABLE', `${objectUri(ref)}: expected the outcome of a group`);
  return outcome;
}

/** @returns the shard in which the job has its place, new or old; undefined if the group has had more jobs than its total */
async function takePlace(counting: Counting, end: GroupEnd): Promise<number | undefined> {
  const hash = createHash('sha256').update(end.jobId).digest();
  const first = hash.readUInt32BE() % counting.shards;
  let full: ReadonlySet<number> | undefined;
  for (let visited = 0; visited < counting.shards; visited++) {
    const shard = (first + visited) % counting.shards;
    if (visited > 0 && end.isNew) {
      full ??= new Set((await marksOf(counting)).keys());
      if (full.has(shard)) continue;
    }
    if (await takePlaceIn(counting, shard, hash.readUInt32BE(4), end)) return shard;
  }
  return undefined;
}

/** @returns whether the job has a place in this shard; if not, the shard is full */
async function takePlaceIn(counting: Counting, shard: number, hash: number, end: GroupEnd): Promise<boolean> {
  const capacity = capacityOf(counting, shard);
  const order = Array.from({ length: capacity }, (_, i) => (hash + i) % capacity);
  const [favourite = 0, ...others] = order;
  // Most often it is free. Then nothing needs to be listed before.
  if (await take(counting, shard, favourite, end)) return true;
  const places = await list(counting, shardRef(counting, shard));
  if (places.some(({ metadata }) => metadata.jobId === end.jobId)) return true;
  const taken = new Set(places.map(({ name }) => numberIn(name)));
  for (const at of others) if (!taken.has(at) && (await take(counting, shard, at, end))) return true;
  return false;
}

/** @returns whether the place is the job's. It may have been before: an answer was lost, or its message came twice. */
async function take(counting: Counting, shard: number, at: number, { jobId, status }: GroupEnd): Promise<boolean> {
  const { store, signal } = counting;
  const how = { ...MARK, metadata: { jobId, status }, signal };
  const made = await store.create(placeRef(counting, shard, at), Buffer.alloc(0), how);
  return made.kind === 'created' || made.info.metadata.jobId === jobId;
}

/** Marks the shard as full. If all are, the group has ended. */
async function close(
  counting: Counting,
  shard: number,
  places: readonly ListedObject[],
  jobId: string,
): Promise<GroupCompletion | undefined> {
  const { store, statePrefix, group, shards, signal } = counting;
  const metadata = metadataOf(sum(places.map((place) => countsOfPlace(place))));
  await store.create(markRef(counting, shard), Buffer.alloc(0), { ...MARK, metadata, signal });
  const marks = await marksOf(counting);
  if (marks.size < shards) return undefined;
  const outcome = groupCompletion(group, sum([...marks.values()]), jobId);
  const bytes = Buffer.from(JSON.stringify(outcome));
  const made = await store.create(outcomeRef(statePrefix, group), bytes, { contentType: 'application/json', signal });
  if (made.kind === 'created') return outcome;
  const holding = await readGroup(store, statePrefix, group, signal);
  return holding?.closedBy === jobId ? holding : undefined;
}

/** The counts of the shards that are marked as full. */
async function marksOf(counting: Counting): Promise<Map<number, GroupCounts>> {
  const marks = await list(counting, baseRef(counting, '/full/'));
  return new Map(marks.map(({ name, metadata }) => [numberIn(name), countsIn(metadata)]));
}

async function list({ store, signal }: Counting, prefix: ObjectRef): Promise<ListedObject[]> {
  const found: ListedObject[] = [];
  for await (const { objects } of pagesOf(store, prefix, undefined, signal)) found.push(...objects);
  return found;
}

function capacityOf({ group, shards }: Counting, shard: number): number {
  return shard === shards - 1 ? group.total - SHARD * (shards - 1) : SHARD;
}

function countsOfPlace({ metadata }: ListedObject): GroupCounts {
  return { ...NO_COUNTS, [countedAs(metadata.status as RecordFacts['status'])]: 1 };
}

function sum(all: readonly GroupCounts[]): GroupCounts {
  const counts = { ...NO_COUNTS };
  for (const one of all) for (const status of STATUSES) counts[status] += one[status];
  return counts;
}

function metadataOf(counts: GroupCounts): Record<string, string> {
  return Object.fromEntries(STATUSES.map((status) => [status, String(counts[status])]));
}

function countsIn(metadata: Readonly<Record<string, string>>): GroupCounts {
  const counts = { ...NO_COUNTS };
  for (const status of STATUSES) counts[status] = Number(metadata[status] ?? 0);
  return counts;
}

function outcomeRef(statePrefix: string, { id, total }: CountedGroup): ObjectRef {
  return under(statePrefix, `groups/${id}~${total}.json`);
}

function baseRef({ statePrefix, group: { id, total } }: Counting, name: string): ObjectRef {
  return under(statePrefix, `groups/${id}~${total}${name}`);
}

const digits = (number: number, length: number) => String(number).padStart(length, '0');
const shardRef = (counting: Counting, shard: number) => baseRef(counting, `/${digits(shard, 5)}/`);
const placeRef = (counting: Counting, shard: number, at: number) =>
  baseRef(counting, `/${digits(shard, 5)}/${digits(at, 3)}.ended`);
const markRef = (counting: Counting, shard: number) => baseRef(counting, `/full/${digits(shard, 5)}.ended`);
const numberIn = (name: string) => Number(/\/(\d+)\.ended$/.exec(name)?.[1] ?? -1);

function parse(bytes: Buffer): GroupCompletion | undefined {
  try {
    return groupCompletionSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return undefined;
  }
}
