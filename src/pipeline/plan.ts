import { JobError } from '../domain/errors.js';
import type { Job, OutputFormat } from '../domain/job.js';
import type { Raster, Size } from '../domain/raster.js';
import { type Predict, predictedTime } from './cost.js';
import { type Format, FORMATS } from './formats/index.js';
import { PLAN_TABLE, type Shape } from './plans/index.js';
import type { Routed } from './route.js';

export interface PlanOptions {
  /** Largest intermediate or final picture. */
  readonly maxPixels: number;
  readonly predict: Predict;
}

/** Everything about a job that can be known before the first inference. */
export interface JobPlan {
  readonly steps: readonly PlannedStep[];
  readonly format: Format;
  /** Of the file that is written. */
  readonly size: Size;
}

export interface PlannedStep {
  readonly routed: Routed;
  readonly shape: Shape;
}

/**
 * Predicts every size and decides shapes and format.
 * @throws JobError `OUTPUT_TOO_LARGE`, `INVALID_PARAMETERS`
 */
export function planJob(
  job: Job,
  picture: { readonly raster: Raster; readonly format: OutputFormat },
  routed: readonly Routed[],
  options: PlanOptions,
): JobPlan {
  let size: Size = picture.raster;
  let alpha = picture.raster.alpha !== undefined;
  const steps = routed.map((step): PlannedStep => {
    const shape = chooseShape(step, size, options.predict);
    size = { width: size.width * step.contract.scale, height: size.height * step.contract.scale };
    if (size.width * size.height > options.maxPixels) {
      const given = `${size.width}x${size.height} after ${step.operation.model}`;
      throw new JobError('OUTPUT_TOO_LARGE', `expected at most ${options.maxPixels} pixels, given ${given}`);
    }
    alpha ||= step.model.output === 'mask';
    return { routed: step, shape };
  });

  if (job.output.maskOnly) {
    if (routed.at(-1)?.model.output !== 'mask') throw invalid('maskOnly: the last operation gives no mask');
    alpha = false;
  }
  if (job.output.background !== undefined) alpha = false;
  const name = job.output.format ?? (alpha && !FORMATS[picture.format].alpha ? 'png' : picture.format);
  const format = FORMATS[name];
  if (alpha && !format.alpha) {
    throw invalid(`background: expected "#rrggbb", because the result has alpha and ${name} has none`);
  }
  const final = shrink(size, job.output);
  if (Math.max(final.width, final.height) > format.maxSide) {
    const given = `${final.width}x${final.height}`;
    throw new JobError('OUTPUT_TOO_LARGE', `${name}: expected at most ${format.maxSide} pixels a side, given ${given}`);
  }
  return { steps, format, size: final };
}

/** The permitted shape of least predicted time. @throws JobError `OUTPUT_TOO_LARGE` when none can hold the image */
function chooseShape({ model, version, contract }: Routed, size: Size, predict: Predict): Shape {
  const shapes = contract.plans.flatMap((plan) => PLAN_TABLE[plan].shapes(contract, size));
  const cost = predict(model.model, version);
  const time = (shape: Shape) => predictedTime(shape, cost, model.maxBatchSize);
  const [best] = shapes.map((shape) => ({ shape, time: time(shape) })).sort((a, b) => a.time - b.time);
  if (!best) {
    const given = `${size.width}x${size.height}`;
    throw new JobError(
      'OUTPUT_TOO_LARGE',
      `model ${model.model} takes at most ${contract.maxWholePixels} pixels, given ${given}`,
    );
  }
  return best.shape;
}

function shrink(size: Size, { maxWidth = Infinity, maxHeight = Infinity }: Job['output']): Size {
  const ratio = Math.min(1, maxWidth / size.width, maxHeight / size.height);
  return { width: Math.max(1, Math.round(size.width * ratio)), height: Math.max(1, Math.round(size.height * ratio)) };
}

function invalid(message: string): JobError {
  return new JobError('INVALID_PARAMETERS', `output.${message}`, { stage: 'plan' });
}
