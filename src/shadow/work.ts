/** One shadow: the job done again with another version, its picture stored, and the two results compared. */
import { JobError } from '../domain/errors.js';
import type { ModelServer, ObjectStore } from '../domain/ports.js';
import { isSameSize, type Raster, type Size } from '../domain/raster.js';
import { Dropped, type ShadowReport } from '../domain/shadow.js';
import { objectRef } from '../domain/uri.js';
import { asShortage } from '../pipeline/codec.js';
import { decode, type DecodeOptions, readHeader } from '../pipeline/decode.js';
import type { Encoded } from '../pipeline/encode.js';
import { JobContext } from '../pipeline/job-context.js';
import { JobState, type PipelineOptions, type StoredJobState } from '../pipeline/job-state.js';
import { memoryOf } from '../pipeline/memory.js';
import { repeatSteps, runSteps } from '../pipeline/run.js';
import type { RequestScheduler } from '../pipeline/transform.js';
import { addAttributes, inSpan } from '../tracing/spans.js';
import { differenceOf } from './difference.js';
import { secondsOf, type Shadow } from './plan.js';
import { storePicture, storeReport } from './reports.js';

export interface ShadowParts {
  /** The server without the wrappers of jobs: a shadow's failure opens no circuit and counts for no guard. */
  readonly models: ModelServer;
  /** A single attempt for each call. */
  readonly store: ObjectStore;
}

export interface ShadowOptions {
  /** `IMAGEN_SHADOW_PREFIX` */
  readonly prefix: string;
  /** Name of this worker in its reports. */
  readonly worker: string;
  readonly pipeline: PipelineOptions;
}

/** What one shadow has of the worker. */
export interface Turns {
  /** Fires with a `Dropped` when the shadow must end, with a JobError when it takes too long. */
  readonly signal: AbortSignal;
  readonly schedule: RequestScheduler;
  /** Waits until jobs need nothing that the shadow would take. @throws the signal's reason */
  readonly pause: () => Promise<void>;
}

/**
 * Does a shadow and stores what came of it: the picture, and a report. A report that cannot be stored is an error only after
 * a success.
 * @returns the report; that of a failure, too
 * @throws Dropped
 */
export async function workOn(
  shadow: Shadow,
  parts: ShadowParts,
  options: ShadowOptions,
  turns: Turns,
): Promise<ShadowReport> {
  const { job, model, version, servedVersion, output } = shadow;
  const about = { jobId: job.jobId, model, version, servedVersion };
  const tail = () => ({ worker: options.worker, time: new Date().toISOString() });
  return inSpan('shadow', {}, async () => {
    addAttributes(() => ({ 'imagen.job_id': job.jobId, 'imagen.model': model, 'imagen.version': version }));
    try {
      const made = await render(shadow, parts, options, turns);
      const picture = await storePicture(parts.store, options.prefix, about, made.encoded, made.format, turns.signal);
      const seconds = { job: shadow.jobSeconds, shadow: made.seconds };
      const found = await compare(shadow, made.encoded, parts, options, turns);
      const report = { ...about, ...found, seconds, pictures: { job: output.uri, shadow: picture }, ...tail() };
      await storeReport(parts.store, options.prefix, report, turns.signal);
      return report;
    } catch (thrown) {
      const { code, stage, message } = failureOf(thrown);
      const error = { code, stage, message: message.slice(0, MOST_MESSAGE) };
      const report = { ...about, result: 'failed' as const, error, pictures: { job: output.uri }, ...tail() };
      // Its own signal has fired if it took too long. If storage is away, the log and the metrics tell of the failure.
      const limit = AbortSignal.timeout(REPORT_LIMIT_MS);
      await storeReport(parts.store, options.prefix, report, limit).catch(() => undefined);
      return report;
    }
  });
}

const MOST_MESSAGE = 1_000;
/** Time limit for storing the report of a failure, in milliseconds. */
const REPORT_LIMIT_MS = 5_000;

/** @throws Dropped if the shadow must end, or if Triton or this worker is too busy for it */
function failureOf(thrown: unknown): JobError {
  if (thrown instanceof Dropped) throw thrown;
  const error = JobError.from(asShortage(thrown), 'infer');
  if (error.code === 'MODEL_OVERLOADED' || error.code === 'WORKER_OVERLOADED') throw new Dropped('busy');
  return error;
}

/** Runs the job up to the file of its result, and keeps nothing else: the pictures before it are freed. */
async function render(
  { job, model }: Shadow,
  { models, store }: ShadowParts,
  { pipeline }: ShadowOptions,
  { signal, schedule }: Turns,
): Promise<Pick<StoredJobState, 'encoded' | 'format'> & { readonly seconds: number }> {
  const context = new JobContext(signal, 0);
  const state = new JobState(job, context, { models, schedule, store, fingerprint: '' }, pipeline);
  await runSteps(repeatSteps(job), state);
  return { encoded: state.encoded, format: state.format, seconds: secondsOf(job, model, context.inferenceSeconds) };
}

type Compared = Pick<ShadowReport, 'result' | 'difference' | 'sizes'>;

/** Compares the two files as they are stored, so that both have been through the same encoder. */
async function compare(
  { job, output }: Shadow,
  encoded: Encoded,
  { store }: ShadowParts,
  { pipeline }: ShadowOptions,
  { signal, pause }: Turns,
): Promise<Compared> {
  if (!isSameSize(encoded, output)) {
    return { result: 'size differs', sizes: { job: sizeOf(output), shadow: sizeOf(encoded) } };
  }
  const ref = { ...objectRef(output.uri), generation: output.generation };
  const found = await store.read(ref, { maxBytes: output.bytes, signal });
  if (found.kind !== 'found') throw new JobError('STORAGE_UNAVAILABLE', `${output.uri}: the result is ${found.kind}`);
  const { maxOutputPixels, turbo } = pipeline;
  const decoders = { codec: pipeline.codecs(job, signal), turbo };
  const own = await open(found.bytes, maxOutputPixels, decoders);
  const other = await open(encoded.bytes, maxOutputPixels, decoders);
  const release = await pipeline.reserve(own.memory + other.memory, signal, job);
  try {
    return { result: 'compared', difference: await differenceOf(await own.decode(), await other.decode(), pause) };
  } finally {
    release();
  }
}

/** A result whose header was read. */
async function open(bytes: Buffer, maxPixels: number, decoders: DecodeOptions) {
  const header = await readHeader(bytes, { maxPixels, ...decoders });
  return {
    /** Bytes that decoding takes, and the picture after it. */
    memory: memoryOf(header, [], {}),
    decode: async (): Promise<Raster> => (await decode(bytes, header, decoders)).raster,
  };
}

const sizeOf = ({ width, height }: Size): Size => ({ width, height });
