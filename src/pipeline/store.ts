import type { CompletionOutput, Status, Step } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import type { ObjectInfo, ObjectStore } from '../domain/ports.js';
import type { Size } from '../domain/raster.js';
import { type ObjectRef, objectUri } from '../domain/uri.js';
import type { Encoded } from './encode.js';

export interface Stored {
  readonly output: CompletionOutput;
  /** How the stored object was made: ours, or those of the earlier attempt whose object was found. */
  readonly steps: readonly Step[];
}

/** The job whose result it is. */
export interface Owner {
  readonly jobId: string;
  /** A redrive repeats this job. */
  readonly redriveOf?: string | undefined;
  readonly fingerprint: string;
}

/** How a job has ended, by its record in the store. */
export type EndOf = (jobId: string, store: ObjectStore, signal: AbortSignal) => Promise<Status | undefined>;

/**
 * Writes the result, create-only. An object that is there already is ours if an attempt at the same job wrote it (a
 * worker died between this and the record), if the job that this one redrives wrote it and did not succeed after all, or
 * if it has the same bytes and is no other job's result; it is then reported as it stands.
 * @throws JobError `OUTPUT_EXISTS`, `STORAGE_UNAVAILABLE`
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

/** The job that a redrive repeats, `a` for `a~r2`; itself for any other. */
const originalOf = (jobId: string) => jobId.replace(/~r[0-9]+$/, '');

const KEY = {
  jobId: 'imagen-job-id',
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
