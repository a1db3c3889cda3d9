import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { decodeRecord, type JobRecord, recordRef } from '../domain/record.js';

/** A record holds one completion: metadata of 4 KiB, addresses and a few steps. */
const MAX_RECORD_BYTES = 262_144;

/**
 * Looks for the record of a job.
 * @returns undefined when the job has not ended yet
 * @throws JobError `STORAGE_UNAVAILABLE`, or `INTERNAL` when what is there is not a record
 */
export async function recall(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  signal: AbortSignal,
): Promise<JobRecord | undefined> {
  const found = await store.read(recordRef(statePrefix, jobId), { maxBytes: MAX_RECORD_BYTES, signal });
  if (found.kind === 'missing') return undefined;
  if (found.kind === 'refused') throw new JobError('STORAGE_UNAVAILABLE', found.reason, { stage: 'recall' });
  if (found.kind === 'too-large') {
    throw new JobError('INTERNAL', `the record of ${jobId} has ${found.bytes} bytes`, { stage: 'recall' });
  }
  return decodeRecord(found.bytes);
}
