/** The steps of the pipeline. Each reads what earlier steps left in the state, does one thing, and leaves its own. */
import type { Timings } from '../domain/completion.js';
import type { Arm } from '../domain/experiment.js';
import type { Stage } from '../domain/errors.js';
import type { OutputRequest } from '../domain/job.js';
import { releasePixels } from '../domain/pixel-memory.js';
import type { Raster } from '../domain/raster.js';
import { byContractNow } from './contract-now.js';
import { decode, readHeader } from './decode.js';
import { encode, type Pixels } from './encode.js';
import { type FallbackOptions, transformOnArm } from './fallback.js';
import { fetchInput } from './fetch.js';
import { isGrey } from './grey.js';
import type { StoredJobState, JobState } from './job-state.js';
import { memoryOf } from './memory.js';
import { outputWarnings } from './output-warnings.js';
import { chooseFormat, type PlannedStep, planJob } from './plan.js';
import { route } from './route.js';
import { storeResult } from './store.js';
import { chooseTarget } from './target.js';

/**
 * One step.
 * @typeParam S the state that it needs
 */
export interface PipelineStep<S extends JobState = JobState> {
  /** Name of its span, and what observers receive when the step is done. */
  readonly name: string;
  /** Second word of the span's name. */
  readonly model?: string;
  /** Stage of its errors. */
  readonly stage: Stage;
  /** Field of `timingsMs` that its time is added to. */
  readonly timing?: keyof Timings;
  readonly run: (state: S) => Promise<void> | void;
}

/** Chooses a model and a version for every operation. */
export const routeStep: PipelineStep = {
  name: 'route',
  stage: 'route',
  async run(state) {
    const { job, context, parts, options } = state;
    state.routed = await route(job.operations, parts.models, options.route(job), context.signal);
    context.last = state.routed.at(-1);
  },
};

/** Chooses the object for the result. A wrong target ends the job before anything is read. */
export const targetStep: PipelineStep<StoredJobState> = {
  name: 'target',
  stage: 'plan',
  run(state) {
    state.target = chooseTarget(state.job, state.options.target);
  },
};

export const fetchStep: PipelineStep<StoredJobState> = {
  name: 'fetch',
  stage: 'fetch',
  timing: 'fetch',
  async run(state) {
    const { job, context, parts, options } = state;
    const fetched = await fetchInput(job.input, parts.store, options.fetch, context.signal);
    state.bytes = fetched.bytes;
    context.input = { uri: job.input.uri, generation: fetched.generation, bytes: fetched.bytes.length };
  },
};

export const headerStep: PipelineStep = {
  name: 'header',
  stage: 'decode',
  timing: 'decode',
  async run(state) {
    const { context, options, codec } = state;
    state.header = await readHeader(state.bytes, {
      ...{ maxPixels: options.maxInputPixels, codec, turbo: options.turbo },
    });
    const { width, height } = state.header;
    if (context.input) context.input = { ...context.input, width, height };
  },
};

/** Plans the whole job, so that a result that is too large ends it before memory is reserved. */
export const planStep: PipelineStep = {
  name: 'plan',
  stage: 'plan',
  async run(state) {
    const { job, context, options, header, routed } = state;
    state.plan = await planByContractNow(state, () => planJob(job, header, routed, options.maxOutputPixels));
    context.last = state.plan.steps.at(-1)?.routed;
  },
};

/** Waits for memory. */
export const memoryStep: PipelineStep = {
  name: 'memory',
  stage: 'decode',
  timing: 'memory',
  async run(state) {
    const { job, context, options, header, plan } = state;
    const steps = plan.steps.map(({ routed }) => routed);
    const release = await options.reserve(memoryOf(header, steps, job.output), context.signal, job);
    let isReserved = true;
    state.release = () => {
      if (isReserved) release();
      isReserved = false;
    };
  },
};

export const decodeStep: PipelineStep = {
  name: 'decode',
  stage: 'decode',
  timing: 'decode',
  async run(state) {
    const { raster, metadata, warnings } = await decode(state.bytes, state.header, {
      ...{ codec: state.codec, turbo: state.options.turbo },
    });
    // Colours that are kept count, although nobody sees them.
    const { width, height, rgb } = raster;
    const counted = state.job.output.keepHidden ? { width, height, rgb } : raster;
    state.raster = (await isGrey(counted)) ? { ...raster, grey: true } : raster;
    state.metadata = metadata;
    state.context.warnings.push(...warnings);
  },
};

/** Chooses the format. Only now it is known whether any pixel is transparent. */
export const formatStep: PipelineStep = {
  name: 'format',
  stage: 'plan',
  async run(state) {
    const { job, header, plan, raster } = state;
    const picture = { format: header.format, hasAlpha: raster.alpha !== undefined };
    state.format = await planByContractNow(state, () => chooseFormat(job, picture, plan));
    state.context.warnings.push(...outputWarnings(job.output, state.format));
  },
};

/** Plans by the contracts of the routed versions. A contract that has changed since does not end the job. */
async function planByContractNow<T>({ routed, parts, context }: JobState, plan: () => T): Promise<T> {
  try {
    return plan();
  } catch (thrown) {
    const versions = routed.flatMap((one) => (one.fallback ? [one, one.fallback] : [one]));
    throw await byContractNow(thrown, versions, parts.models, context.signal);
  }
}

/** @param index of the operation */
export const inferStep = (index: number, model: string): PipelineStep => ({
  name: 'infer',
  model,
  stage: 'infer',
  timing: 'inference',
  async run(state) {
    const planned = state.plan.steps[index];
    if (!planned) throw new Error(`expected ${state.job.operations.length} planned operations, given ${index}`);
    const { raster, step, work } = await transformOnArm(state.raster, planned, howToInfer(state, planned));
    // Requests to an arm that was given up may still read the picture.
    if (planned.routed.arm === undefined && raster.rgb.buffer !== state.raster.rgb.buffer)
      releasePixels(state.raster.rgb);
    state.raster = raster;
    const gpuMs = state.options.gpuMsOf?.(step, work);
    state.context.steps.push(gpuMs === undefined ? step : { ...step, gpuMs: Math.round(gpuMs * 10) / 10 });
    state.context.inferenceSeconds.push(work.seconds);
    state.options.onOperation?.(step, work);
  },
});

function howToInfer({ job, context, parts, options, codec, plan }: JobState, planned: PlannedStep): FallbackOptions {
  const { jobId, priority, tenant, output } = job;
  const isLast = planned === plan.steps.at(-1);
  return {
    ...{ models: parts.models, schedule: parts.schedule, codec, predict: options.predict, priority, tenant },
    keepHidden: output.keepHidden,
    signal: context.signal,
    onArm: (arm: Arm, end, error) => options.onArm?.(arm, end, { jobId, error }),
    isStopped: (arm) => options.isStopped?.(arm) ?? false,
    onFallback({ version }) {
      if (isLast) context.last = { ...planned.routed, version };
    },
  };
}

export const encodeStep: PipelineStep = {
  name: 'encode',
  stage: 'encode',
  timing: 'encode',
  async run(state) {
    const { job, raster, plan, format, codec, metadata, options } = state;
    state.encoded = await encode(pixelsOf(raster, job.output), {
      ...job.output,
      ...{ format, size: plan.size, codec, turbo: options.turbo },
      ...(job.output.keepMetadata ? { metadata } : {}),
    });
    releasePixels(raster.rgb);
    state.release();
  },
};

/** The pixels to write: the picture, or only its alpha, which is the refined mask of the last operation. */
function pixelsOf({ width, height, rgb, alpha, grey = false }: Raster, { maskOnly }: OutputRequest): Pixels {
  if (maskOnly) return { width, height, channels: 1, data: alpha ?? Buffer.alloc(width * height, 255) };
  return { width, height, channels: 3, data: rgb, grey, ...(alpha ? { alpha } : {}) };
}

export const storeStep: PipelineStep<StoredJobState> = {
  name: 'store',
  stage: 'store',
  timing: 'store',
  async run({ job, context, parts, options, target, format, encoded }) {
    const stored = await storeResult(
      target(format),
      encoded,
      { jobId: job.jobId, redriveOf: job.redriveOf, fingerprint: parts.fingerprint },
      format.contentType,
      context.steps,
      parts.store,
      options.endOf,
      context.signal,
    );
    context.output = stored.output;
    context.steps.splice(0, context.steps.length, ...stored.steps);
  },
};
