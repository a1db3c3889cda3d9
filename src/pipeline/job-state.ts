import type { Arm, ArmEnd } from '../domain/experiment.js';
import type { JobError } from '../domain/errors.js';
import type { Job } from '../domain/job.js';
import type { Step } from '../domain/completion.js';
import type { ModelServer, ObjectStore } from '../domain/ports.js';
import type { Raster } from '../domain/raster.js';
import type { ObjectRef } from '../domain/uri.js';
import type { Codec, Codecs } from './codec.js';
import type { Predict } from './cost.js';
import type { FileHeader } from './decode.js';
import type { Encoded } from './encode.js';
import type { FetchOptions } from './fetch.js';
import type { Format } from './formats/format.js';
import type { JobContext } from './job-context.js';
import type { TurboJpeg } from './jpeg/turbo.js';
import type { Reserve } from './memory.js';
import type { KeptMetadata } from './metadata.js';
import type { JobPlan } from './plan.js';
import type { RouteOptions } from './route.js';
import type { Routed } from './routed.js';
import type { EndOf } from './store.js';
import type { TargetOptions } from './target.js';
import type { RequestScheduler, StepWork } from './transform.js';

export interface RenderOptions {
  readonly maxInputPixels: number;
  /** Limit of pixels for each intermediate picture and for the result. */
  readonly maxOutputPixels: number;
  /** Called for each job, because routes are edited while the worker runs. */
  readonly route: (job: Job) => RouteOptions;
  readonly predict: Predict;
  /** Reserves memory for a picture, from when its header was read until its result is encoded. */
  readonly reserve: Reserve;
  /** Schedulers for decoding, resizing and encoding. */
  readonly codecs: Codecs;
  /** Decodes and encodes ordinary JPEGs. Without it, sharp does. */
  readonly turbo?: TurboJpeg | undefined;
  /** Called after each completed operation; must not throw. */
  readonly onOperation?: (step: Step, work: StepWork) => void;
  /** A step's share of the time for which an instance was busy, in milliseconds; undefined if nothing is known about it. */
  readonly gpuMsOf?: (step: Step, work: StepWork) => number | undefined;
  /** Called with the outcome of each operation on an arm of an experiment; must not throw. */
  readonly onArm?: (arm: Arm, end: ArmEnd, about: ArmFailure) => void;
  /** Whether an arm was stopped. Operations on it whose requests still wait for their turn then go to the default version. */
  readonly isStopped?: (arm: Arm) => boolean;
}

/** The job at which an arm's version failed, and the error. */
export interface ArmFailure {
  readonly jobId: string;
  readonly error: JobError | undefined;
}

export interface PipelineOptions extends RenderOptions {
  readonly fetch: FetchOptions;
  readonly target: TargetOptions;
  readonly endOf: EndOf;
}

export interface RenderParts {
  readonly models: ModelServer;
  /** Schedules the requests of this job. */
  readonly schedule: RequestScheduler;
}

/** Parts for a job from Pub/Sub, whose input and result are objects in Cloud Storage. */
export interface StoredJobParts extends RenderParts {
  readonly store: ObjectStore;
  /** Fingerprint of the job, by which its result is known later. */
  readonly fingerprint: string;
}

/**
 * What the steps of one job hand on to each other. Each comment names the step that sets the field; only later steps may
 * read it. Rasters are replaced, not kept, so that the memory of earlier pictures is freed.
 */
export class JobState<P extends RenderParts = RenderParts, O extends RenderOptions = RenderOptions> {
  /** `route`: one for each operation. */
  routed!: readonly Routed[];
  /** `target`: the object for the result. Its name depends on the format. */
  target!: (format: Format) => ObjectRef;
  /** `fetch`: the file. */
  bytes!: Buffer;
  /** `header` */
  header!: FileHeader;
  /** `plan` */
  plan!: JobPlan;
  /** `memory`: releases the memory that is reserved for the job. A second call does nothing. */
  release: () => void = () => undefined;
  /** `decode`; each `infer` replaces it. */
  raster!: Raster;
  /** `decode` */
  metadata!: KeptMetadata;
  /** `format`: of the result. */
  format!: Format;
  /** `encode` */
  encoded!: Encoded;

  readonly codec: Codec;

  constructor(
    readonly job: Job,
    readonly context: JobContext,
    readonly parts: P,
    readonly options: O,
  ) {
    this.codec = options.codecs(job, context.signal);
  }
}

/** The state of a job from Pub/Sub. */
export type StoredJobState = JobState<StoredJobParts, PipelineOptions>;
