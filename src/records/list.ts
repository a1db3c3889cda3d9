/** The records of many jobs, by their names. */
import { isJobId } from '../domain/job.js';
import { pagesOf } from '../domain/pages.js';
import type { ObjectStore } from '../domain/ports.js';
import { type ObjectRef, under } from '../domain/uri.js';
import { factsIn, type RecordFacts } from './facts.js';
import { recordRef } from './record.js';

export interface ListedRecord {
  readonly jobId: string;
  /** When the record was created. */
  readonly endedAt: Date;
  /** Undefined for the record of an older worker. */
  readonly facts: RecordFacts | undefined;
}

export interface ListFrom {
  /** Only ids that begin so. */
  readonly prefix?: string | undefined;
  /** Only ids behind this one. */
  readonly after?: string | undefined;
}

/**
 * Lists the records under a prefix by their names, in the order of the names, one request for each 1,000 objects. Records
 * that are created meanwhile may be missing.
 * @throws JobError `STORAGE_UNAVAILABLE`; the signal's reason
 */
export async function* listRecords(
  store: ObjectStore,
  statePrefix: string,
  { prefix = '', after }: ListFrom,
  signal: AbortSignal,
): AsyncGenerator<ListedRecord, void, void> {
  const folder = folderOf(statePrefix);
  const from = after === undefined ? undefined : recordRef(statePrefix, after).name;
  for await (const { objects } of pagesOf(store, { ...folder, name: `${folder.name}${prefix}` }, from, signal)) {
    for (const { name, createdAt, metadata } of objects) {
      const jobId = /^(.+)\.json$/.exec(name.slice(folder.name.length))?.[1];
      if (jobId === undefined || jobId === after || !isJobId(jobId)) continue;
      yield { jobId, endedAt: createdAt, facts: factsIn(metadata) };
    }
  }
}

/** The folder of a prefix, with the slash at its end; the empty name for a whole bucket. */
export function folderOf(prefix: string): ObjectRef {
  const { bucket, name } = under(prefix, 'x');
  return { bucket, name: name.slice(0, -1) };
}
