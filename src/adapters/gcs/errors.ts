import { type BucketAccess, JobError } from '../../domain/errors.js';
import { type ObjectRef, objectUri } from '../../domain/uri.js';
import { namesBucket, type Refusal } from './refusal.js';

/** An action and its object. */
export interface Doing {
  readonly what: 'read' | 'stat' | 'create' | 'replace' | 'list' | 'check';
  readonly ref: ObjectRef;
  readonly access: BucketAccess;
}

/** Any failure without a proper answer means that storage is unavailable. It is never the job's fault. */
export function unavailable({ what, ref, access }: Doing, reason: string): JobError {
  const needs = { kind: 'bucket', name: ref.bucket, access, object: ref.name } as const;
  return new JobError('STORAGE_UNAVAILABLE', `${what} ${objectUri(ref)}: ${reason}`, { needs });
}

/**
 * The error for a refused request. The prefixes were checked before, and all of them are configured. So a bucket that is
 * missing, or that this worker may not use, is for the operator to fix and not the job's fault.
 */
export function refused(doing: Doing, refusal: Refusal): JobError {
  const { status, message } = refusal;
  if (namesBucket(refusal) || (status === 404 && doing.access === 'create')) return bucketMissing(doing, message);
  const denied = status === 401 || status === 403 ? ' (the worker lacks the right)' : '';
  return unavailable(doing, `${status}: ${message}${denied}`);
}

export function bucketMissing(doing: Doing, words: string): JobError {
  const { bucket } = doing.ref;
  return unavailable(
    doing,
    `there is no bucket ${bucket} (404: ${words}); create it, or mend the IMAGEN_… setting that names it`,
  );
}
