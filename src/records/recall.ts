import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { decodeRecord, type JobRecord, recordRef } from './record.js';
import { objectUri } from '../domain/uri.js';

/**
 * Limit of a record's size, in bytes. A record holds one completion (4 KiB of metadata, addresses and a few steps), its
 * request (64 KiB, which may be up to three times as long once its numbers are written out) and 32 KiB of attributes.
 */
export const MAX_RECORD_BYTES = 262_144;

/**
 * Reads the record of a job.
 * @returns undefined when the job has not ended yet
 * @throws JobError `STORAGE_UNAVAILABLE`; `RECORD_UNREADABLE` when the object is not a record
 */
export async function recall(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  signal: AbortSignal,
): Promise<JobRecord | undefined> {
  const ref = recordRef(statePrefix, jobId);
  const found = await store.read(ref, { maxBytes: MAX_RECORD_BYTES, signal });
  switch (found.kind) {
    case 'missing':
      return undefined;
    case 'refused':
    case 'corrupt':
      throw unreadable(ref, found.reason);
    case 'too-large':
      throw unreadable(ref, `expected at most ${MAX_RECORD_BYTES} bytes, found ${found.bytes}`);
    case 'found': {
      const record = decodeRecord(found.bytes);
      if (typeof record === 'string') throw unreadable(ref, record);
      const { jobId: of } = record.completion;
      // A copy under another name, such as of a restore that went wrong, says nothing about this job.
      if (of !== undefined && of !== jobId) throw unreadable(ref, `it is the record of job ${of}`);
      return record;
    }
  }
}

function unreadable(ref: ReturnType<typeof recordRef>, reason: string): JobError {
  return new JobError(
    'RECORD_UNREADABLE',
    `${objectUri(ref)}: ${reason}; how its job ended is unknown until it is mended`,
  );
}
