import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { factsAsMetadata } from './facts.js';
import { encodeRecord, type JobRecord, recordRef } from './record.js';
import { recall } from './recall.js';

/**
 * Creates the record unless one exists already. At this moment the job ends.
 * @returns the record that counts; it is another worker's if that worker was first
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function decide(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  record: JobRecord,
  signal: AbortSignal,
): Promise<{ readonly record: JobRecord; readonly ours: boolean }> {
  const created = await store.create(recordRef(statePrefix, jobId), encodeRecord(record), {
    contentType: 'application/json',
    metadata: factsAsMetadata(record),
    signal,
  });
  if (created.kind === 'created') return { record, ours: true };
  // "exists" may be this worker's own write, if its answer was lost. That does not matter: the existing record decides.
  const holding = await recall(store, statePrefix, jobId, signal);
  if (!holding) {
    throw new JobError('STORAGE_UNAVAILABLE', `the record of ${jobId} exists but cannot be read`, { stage: 'record' });
  }
  return { record: holding, ours: false };
}
