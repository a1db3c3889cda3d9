/**
 * The way of a job through the house, as a list that can be read aloud:
 * route, fetch, decode, plan, transform for each operation, encode, store.
 * What comes before (parse, recall) and after (record, publish, ack) belongs to every message, whatever becomes of the
 * job, and stands in worker/handle.ts.
 */
import type { Job } from '../domain/job.js';
import type { ModelServer, ObjectStore } from '../domain/ports.js';
import type { Raster } from '../domain/raster.js';
import { decode } from './decode.js';
import { encode, type Pixels } from './encode.js';
import { fetchInput, type FetchOptions } from './fetch.js';
import type { Journey } from './journey.js';
import { planJob, type PlanOptions } from './plan.js';
import type { RetryLimits } from './retry.js';
import { route, type RouteOptions } from './route.js';
import { storeResult } from './store.js';
import { type Lane, transform } from './transform.js';

export interface PipelineOptions {
  readonly fetch: FetchOptions;
  readonly decode: { readonly maxPixels: number };
  readonly plan: PlanOptions;
  readonly route: () => RouteOptions;
  readonly retry: RetryLimits;
}

export interface PipelineParts {
  readonly store: ObjectStore;
  readonly models: ModelServer;
}

/**
 * Does the work of a job, up to the stored result. What it learns on the way is left in `journey`, also when it throws.
 * @throws JobError whichever stage it ends in; GivenBack when the worker must let go of it
 */
export async function runJob(
  job: Job,
  fingerprint: string,
  journey: Journey,
  lane: Lane,
  { store, models }: PipelineParts,
  options: PipelineOptions,
): Promise<void> {
  const { signal } = journey;

  const routed = await journey.stage('route', undefined, () => route(job.operations, models, options.route(), signal));

  const fetched = await journey.stage('fetch', 'fetch', () => fetchInput(job.input, store, options.fetch, signal));
  journey.input = { uri: job.input.uri, generation: fetched.generation, bytes: fetched.bytes.length };

  const picture = await journey.stage('decode', 'decode', () => decode(fetched.bytes, options.decode));
  let { raster } = picture;
  journey.input = { ...journey.input, width: raster.width, height: raster.height };
  journey.warnings.push(...picture.warnings);

  const plan = await journey.stage('plan', undefined, () => planJob(job, picture, routed, options.plan));

  for (const planned of plan.steps) {
    const done = await journey.stage('infer', 'inference', () =>
      transform(raster, planned, { models, lane, retry: options.retry, priority: job.priority, signal }),
    );
    raster = done.raster;
    journey.steps.push(done.step);
  }

  const encoded = await journey.stage('encode', 'encode', () =>
    encode(job.output.maskOnly ? maskOf(raster) : { ...raster, channels: 3, data: raster.rgb }, {
      ...job.output,
      format: plan.format,
      size: plan.size,
      ...(job.output.keepMetadata ? { metadataFrom: fetched.bytes } : {}),
    }),
  );

  const stored = await journey.stage('store', 'store', () =>
    storeResult(
      plan.target,
      encoded,
      { jobId: job.jobId, fingerprint },
      plan.format.contentType,
      journey.steps,
      store,
      signal,
    ),
  );
  journey.output = stored.output;
  journey.steps.splice(0, journey.steps.length, ...stored.steps);
}

/** The refined mask of the last operation is the picture's alpha. */
function maskOf({ width, height, alpha }: Raster): Pixels {
  return { width, height, channels: 1, data: alpha ?? Buffer.alloc(width * height, 255) };
}
