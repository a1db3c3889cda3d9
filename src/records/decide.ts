import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { encodeRecord, type JobRecord, recordRef } from './record.js';
import { recall } from './recall.js';

/**
 * Writes the record unless one is there already: this is the instant at which a job ends.
 * @returns the record that holds, which is another worker's if that one came first
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
    signal,
  });
  if (created.kind === 'created') return { record, ours: true };
  // "exists" may be our own write whose answer was lost. It does not matter: whatever is there has decided.
  const holding = await recall(store, statePrefix, jobId, signal);
  if (!holding) {
    throw new JobError('STORAGE_UNAVAILABLE', `the record of ${jobId} exists but cannot be read`, { stage: 'record' });
  }
  return { record: holding, ours: false };
}
