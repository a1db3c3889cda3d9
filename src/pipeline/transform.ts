import { setMaxListeners } from 'node:events';
import sharp from 'sharp';
import type { Step } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';
import type { InferenceResult, ModelServer } from '../domain/ports.js';
import type { Raster } from '../domain/raster.js';
import { createTensor, originTensor } from '../domain/tensor.js';
import { applyMask } from './mask.js';
import type { PlannedStep } from './plan.js';
import { type Answer, PLAN_TABLE, type Send, type View } from './plans/index.js';
import { type RetryLimits, withRetries } from './retry.js';

/**
 * A job's share of a model: runs the task when the model has room and it is this job's turn. Only requests of one version
 * and one shape can share a batch. Implemented by the worker, which knows the other jobs.
 */
export type Lane = <T>(model: string, shape: string, task: () => Promise<T>, signal: AbortSignal) => Promise<T>;

export interface TransformOptions {
  readonly models: ModelServer;
  readonly lane: Lane;
  readonly retry: RetryLimits;
  readonly priority: Priority;
  readonly signal: AbortSignal;
}

export interface Transformed {
  readonly raster: Raster;
  readonly step: Step;
}

/**
 * One operation on one picture: cut, infer, stitch.
 * @throws JobError of stage `infer`
 */
export async function transform(raster: Raster, planned: PlannedStep, options: TransformOptions): Promise<Transformed> {
  const { routed, shape } = planned;
  const { model, contract } = routed;
  const channels = model.output === 'mask' ? 1 : 3;
  const servedVersions = new Set<string>();

  // The first request that fails ends the others: their tiles have nowhere to go.
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  setMaxListeners(0, signal); // every tile listens
  const send: Send = async (cut, paste) => {
    try {
      await options.lane(
        model.model,
        `${routed.version} ${shape.width}x${shape.height}`,
        async () => {
          signal.throwIfAborted();
          const view = await cut();
          const result = await withRetries(() => ask(raster, view, planned, options, signal), options.retry, signal);
          servedVersions.add(result.version);
          paste(checkAnswer(result, view, planned, channels));
        },
        signal,
      );
    } catch (thrown) {
      stop.abort(thrown);
      throw thrown;
    }
  };

  const answer = await PLAN_TABLE[shape.plan].execute(raster, shape, contract, channels, send);
  const step: Step = {
    model: model.model,
    ...(routed.operation.version === undefined ? {} : { requestedVersion: routed.operation.version }),
    servedVersion: [...servedVersions].join(','),
    plan: shape.plan,
    requests: shape.requests,
  };
  if (answer.channels === 1) return { raster: await applyMask(raster, answer.data), step };
  return { raster: await withAlpha(answer, raster), step };
}

function ask(
  whole: Raster,
  view: View,
  { routed }: PlannedStep,
  { models, priority }: TransformOptions,
  signal: AbortSignal,
): Promise<InferenceResult> {
  const image = createTensor('image', 'UINT8', [view.height, view.width, 3], view.rgb);
  return models.infer(
    {
      model: routed.model.model,
      version: routed.version,
      inputs: routed.model.takesOrigin ? [image, originTensor(view.x, view.y, whole.width, whole.height)] : [image],
      output: routed.model.output,
      priority,
      parameters: routed.parameters,
    },
    signal,
  );
}

/** @throws JobError `MODEL_OUTPUT_INVALID`: the model does not keep its contract */
function checkAnswer({ output }: InferenceResult, view: View, { routed }: PlannedStep, channels: 1 | 3) {
  const { scale } = routed.contract;
  const expected = [view.height * scale, view.width * scale, channels];
  if (output.datatype !== 'UINT8' || output.shape.join() !== expected.join()) {
    const given = `${output.datatype} [${output.shape.join(', ')}]`;
    throw new JobError(
      'MODEL_OUTPUT_INVALID',
      `model ${routed.model.model}: output ${output.name}: expected UINT8 [${expected.join(', ')}], given ${given}`,
    );
  }
  return output;
}

/** The picture's own alpha, carried past a model that knows only colours, and resampled where the model scales. */
async function withAlpha({ width, height, data }: Answer, before: Raster): Promise<Raster> {
  if (!before.alpha) return { width, height, rgb: data };
  if (width === before.width && height === before.height) return { width, height, rgb: data, alpha: before.alpha };
  const alpha = await sharp(before.alpha, { raw: { width: before.width, height: before.height, channels: 1 } })
    .resize(width, height, { fit: 'fill' })
    .toColourspace('b-w')
    .raw()
    .toBuffer();
  return { width, height, rgb: data, alpha };
}
