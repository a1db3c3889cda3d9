/**
 * The steps of a job, in order: route, fetch, render, store; and render is decode, plan, transform for each operation,
 * encode.
 * The steps before (parse, recall) and after (record, publish, ack) apply to every message, even if its job fails. They
 * are in worker/handle.ts.
 */
import type { Step } from '../domain/completion.js';
import { type Arm, type ArmEnd, stickyKey } from '../domain/experiment.js';
import type { JobError } from '../domain/errors.js';
import type { Job, OutputRequest } from '../domain/job.js';
import type { ModelServer, ObjectStore } from '../domain/ports.js';
import type { Raster } from '../domain/raster.js';
import type { Codecs } from './codec.js';
import type { Predict } from './cost.js';
import { decode, type DecodeOptions, type Header } from './decode.js';
import { encode, type Encoded, type Pixels } from './encode.js';
import { transformOnArm } from './fallback.js';
import { fetchInput, type FetchOptions } from './fetch.js';
import type { Format } from './formats/index.js';
import type { JobContext } from './job-context.js';
import type { KeptMetadata } from './metadata.js';
import { memoryOf, type Reserve } from './memory.js';
import { type JobPlan, planJob, sizesAfter, withinReach } from './plan.js';
import { route, type Routed, type RouteOptions } from './route.js';
import { type EndOf, storeResult } from './store.js';
import { chooseTarget, type TargetOptions } from './target.js';
import type { RequestScheduler, PixelsSent } from './transform.js';

export interface RenderOptions {
  readonly maxInputPixels: number;
  /** Limit of pixels for each intermediate picture and for the result. */
  readonly maxOutputPixels: number;
  readonly predict: Predict;
  /** Reserves memory for a picture, from when its header was read until its result is encoded. */
  readonly reserve: Reserve;
  /** Schedulers for decoding, resizing and encoding. */
  readonly codecs: Codecs;
  /** Called after each completed operation; must not throw. */
  readonly onOperation?: (step: Step, pixels: PixelsSent) => void;
  /** Called with the outcome of each operation on an arm of an experiment; must not throw. */
  readonly onArm?: (arm: Arm, end: ArmEnd, about: ArmFailure) => void;
}

/** The job at which an arm's version failed, and the error. */
export interface ArmFailure {
  readonly jobId: string;
  readonly error: JobError | undefined;
}

export interface PipelineOptions extends RenderOptions {
  readonly fetch: FetchOptions;
  readonly target: TargetOptions;
  /** Called for each job, because routes are edited while the worker runs. */
  readonly route: () => Omit<RouteOptions, 'key'>;
  readonly endOf: EndOf;
}

export interface PipelineParts {
  readonly store: ObjectStore;
  readonly models: ModelServer;
}

/**
 * Runs a job up to the stored result. It writes what it learns to `context`, even when it throws.
 * @throws JobError of the stage that failed; GivenBack when the worker must release the job
 */
export async function runJob(
  job: Job,
  fingerprint: string,
  context: JobContext,
  schedule: RequestScheduler,
  { store, models }: PipelineParts,
  options: PipelineOptions,
): Promise<void> {
  const { signal } = context;

  const routed = await context.stage('route', undefined, () =>
    route(job.operations, models, { ...options.route(), key: stickyKey(job) }, signal),
  );
  context.last = routed.at(-1);
  const target = await context.stage('plan', undefined, () => chooseTarget(job, options.target));

  const fetched = await context.stage('fetch', 'fetch', () => fetchInput(job.input, store, options.fetch, signal));
  context.input = { uri: job.input.uri, generation: fetched.generation, bytes: fetched.bytes.length };

  const { encoded, format } = await render(job, fetched.bytes, routed, context, schedule, models, options);

  const stored = await context.stage('store', 'store', () =>
    storeResult(
      target(format),
      encoded,
      { jobId: job.jobId, redriveOf: job.redriveOf, fingerprint },
      format.contentType,
      context.steps,
      store,
      options.endOf,
      signal,
    ),
  );
  context.output = stored.output;
  context.steps.splice(0, context.steps.length, ...stored.steps);
}

/** Turns the bytes of a picture into the bytes of the result. It needs no storage. */
export async function render(
  job: Job,
  bytes: Buffer,
  routed: readonly Routed[],
  context: JobContext,
  schedule: RequestScheduler,
  models: ModelServer,
  options: RenderOptions,
): Promise<{ readonly encoded: Encoded; readonly format: Format }> {
  const { signal } = context;
  const codec = options.codecs(job.priority, signal);
  let release: () => void = () => undefined;
  const admit = async (header: Header) => {
    const chosen = withinReach(header, routed, options.maxOutputPixels);
    sizesAfter(header, chosen, options.maxOutputPixels); // throws before memory is reserved
    release = await options.reserve(memoryOf(header, chosen, job.output), signal, job.priority);
  };
  try {
    const piece = await prepare(job, bytes, routed, context, options, { admit, codec });
    const { steps, format, size } = piece.plan;
    const last = steps.at(-1);
    context.last = last?.routed;

    for (const planned of steps) {
      const how = {
        ...{ models, schedule, codec, predict: options.predict, priority: job.priority, signal },
        onArm: (arm: Arm, end: ArmEnd, error?: JobError) => options.onArm?.(arm, end, { jobId: job.jobId, error }),
        onFallback({ version }: Routed) {
          if (planned === last) context.last = { ...planned.routed, version };
        },
      };
      const { raster, step, pixels } = await context.stage(
        'infer',
        'inference',
        () => transformOnArm(piece.raster, planned, how),
        `infer ${planned.routed.model.model}`,
      );
      piece.raster = raster;
      context.steps.push(step);
      options.onOperation?.(step, pixels);
    }

    const encoded = await context.stage('encode', 'encode', () =>
      encode(pixelsOf(piece.raster, job.output), {
        ...job.output,
        ...{ format, size, codec },
        ...(job.output.keepMetadata ? { metadata: piece.metadata } : {}),
      }),
    );
    return { encoded, format };
  } finally {
    release();
  }
}

/** The picture of a job between steps. It holds the only reference, so that the memory of earlier pictures is freed. */
interface Piece {
  raster: Raster;
  readonly metadata: KeptMetadata;
  readonly plan: JobPlan;
}

async function prepare(
  job: Job,
  bytes: Buffer,
  routed: readonly Routed[],
  context: JobContext,
  options: RenderOptions,
  how: Pick<DecodeOptions, 'admit' | 'codec'>,
): Promise<Piece> {
  const picture = await context.stage('decode', 'decode', () =>
    decode(bytes, { maxPixels: options.maxInputPixels, ...how }),
  );
  const { raster, metadata } = picture;
  if (context.input) context.input = { ...context.input, width: raster.width, height: raster.height };
  context.warnings.push(...picture.warnings);
  const plan = await context.stage('plan', undefined, () => planJob(job, picture, routed, options.maxOutputPixels));
  return { raster, metadata, plan };
}

/** The pixels to write: the picture, or only its alpha, which is the refined mask of the last operation. */
function pixelsOf({ width, height, rgb, alpha }: Raster, { maskOnly }: OutputRequest): Pixels {
  if (maskOnly) return { width, height, channels: 1, data: alpha ?? Buffer.alloc(width * height, 255) };
  return { width, height, channels: 3, data: rgb, ...(alpha ? { alpha } : {}) };
}
