import type { CompletionOutput, Status, Step } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { originalOf } from '../domain/job.js';
import { RESULT_KEY } from '../domain/notification.js';
import type { ObjectInfo, ObjectStore } from '../domain/ports.js';
import type { Size } from '../domain/raster.js';
import { type ObjectRef, objectUri } from '../domain/uri.js';
import type { Encoded } from './encode.js';

export interface Stored {
  readonly output: CompletionOutput;
  /** The steps that made the stored object: those of this attempt, or of the earlier attempt that created the object. */
  readonly steps: readonly Step[];
}

/** The job to which a result belongs. */
export interface Owner {
  readonly jobId: string;
  /** The job that this one repeats, if it is a redrive. */
  readonly redriveOf?: string | undefined;
  readonly fingerprint: string;
}

/** Reads from a job's record how it ended; undefined if it has not. */
export type EndOf = (jobId: string, store: ObjectStore, signal: AbortSignal) => Promise<Status | undefined>;

/**
 * Writes the result with a create-only request. If an object exists already, it is adopted and reported as it is in three
 * cases: an attempt at the same job wrote it (a worker died before it wrote the record); the job that this one redrives
 * wrote it and did not succeed; or it has the same bytes and belongs to no other job.
 * @throws JobError `OUTPUT_EXISTS` in any other case, `STORAGE_UNAVAILABLE`
 */
export async function storeResult(
  target: ObjectRef,
  encoded: Encoded,
  job: Owner,
  contentType: string,
  steps: readonly Step[],
  store: ObjectStore,
  endOf: EndOf,
  signal: AbortSignal,
): Promise<Stored> {
  const answer = await store.create(target, encoded.bytes, {
    contentType,
    metadata: describeResult(job, encoded, steps),
    signal,
  });
  if (answer.kind === 'created') return { output: describe(target, answer.info, encoded), steps };
  const { info, sameBytes } = answer;
  const owner = info.metadata[KEY.jobId];
  if (owner === undefined) {
    if (sameBytes) return { output: describe(target, info, encoded), steps };
    throw new JobError('OUTPUT_EXISTS', `${objectUri(target)} holds something else`);
  }
  const sameWork = info.metadata[KEY.fingerprint] === job.fingerprint;
  if (sameWork && owner === job.jobId) return adopt(target, info, encoded, steps);
  if (sameWork && job.redriveOf !== undefined && originalOf(owner) === job.redriveOf) {
    if ((await endOf(owner, store, signal)) !== 'succeeded') return adopt(target, info, encoded, steps);
  }
  throw new JobError('OUTPUT_EXISTS', `${objectUri(target)} holds the result of job ${owner}`);
}

const KEY = {
  jobId: RESULT_KEY,
  fingerprint: 'imagen-fingerprint',
  width: 'imagen-width',
  height: 'imagen-height',
  steps: 'imagen-steps',
} as const;

function describeResult(job: Owner, size: Size, steps: readonly Step[]) {
  return {
    [KEY.jobId]: job.jobId,
    [KEY.fingerprint]: job.fingerprint,
    [KEY.width]: String(size.width),
    [KEY.height]: String(size.height),
    [KEY.steps]: JSON.stringify(steps),
  };
}

function adopt(target: ObjectRef, info: ObjectInfo, ours: Size, steps: readonly Step[]): Stored {
  const width = Number(info.metadata[KEY.width] ?? ours.width);
  const height = Number(info.metadata[KEY.height] ?? ours.height);
  const madeBy = info.metadata[KEY.steps];
  return {
    output: describe(target, info, { width, height }),
    steps: madeBy === undefined ? steps : (JSON.parse(madeBy) as Step[]),
  };
}

function describe(target: ObjectRef, info: ObjectInfo, size: Size): CompletionOutput {
  return {
    uri: objectUri(target),
    generation: info.generation,
    contentType: info.contentType,
    bytes: info.bytes,
    width: size.width,
    height: size.height,
    crc32c: info.crc32c,
  };
}
