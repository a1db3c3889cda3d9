import { JobError } from '../domain/errors.js';
import type { Job, OutputFormat } from '../domain/job.js';
import type { Raster, Size } from '../domain/raster.js';
import { type Format, FORMATS } from './formats/index.js';
import { PLAN_TABLE, type Shape } from './plans/index.js';
import type { Routed } from './route.js';

/** Everything about a job that can be known before the first inference. */
export interface JobPlan {
  readonly steps: readonly PlannedStep[];
  readonly format: Format;
  /** Of the file that is written. */
  readonly size: Size;
}

export interface PlannedStep {
  readonly routed: Routed;
  /** The ways to send this picture that the model permits, at least one. Which is best is known only when it is sent. */
  readonly shapes: readonly Shape[];
  /** The same operation on the default version, for what an arm's version fails at. */
  readonly fallback?: PlannedStep;
}

/**
 * Predicts every size and decides the format.
 * @param maxPixels of any intermediate picture and of the result
 * @throws JobError `OUTPUT_TOO_LARGE`, `INVALID_PARAMETERS`
 */
export function planJob(
  job: Job,
  picture: { readonly raster: Raster; readonly format: OutputFormat },
  routed: readonly Routed[],
  maxPixels: number,
): JobPlan {
  const sizes = [picture.raster, ...sizesAfter(picture.raster, routed, maxPixels)];
  const steps = routed.map((step, i) => planStep(step, sizes[i] ?? picture.raster));
  const size = sizes.at(-1) ?? picture.raster;
  let alpha = picture.raster.alpha !== undefined || routed.some(({ model }) => model.output === 'mask');

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

/**
 * The picture's size after each operation.
 * @throws JobError `OUTPUT_TOO_LARGE`
 */
export function sizesAfter({ width, height }: Size, routed: readonly Routed[], maxPixels: number): Size[] {
  let side = 1;
  return routed.map(({ operation, contract }) => {
    side *= contract.scale;
    const size = { width: width * side, height: height * side };
    if (size.width * size.height <= maxPixels) return size;
    const given = `${size.width}x${size.height} after ${operation.model}`;
    throw new JobError('OUTPUT_TOO_LARGE', `expected at most ${maxPixels} pixels, given ${given}`);
  });
}

/**
 * Where only the default version can hold the image, the step is in no arm.
 * @throws JobError `OUTPUT_TOO_LARGE` when no shape can hold it
 */
function planStep(routed: Routed, size: Size): PlannedStep {
  const { model, contract } = routed;
  const own = { routed, shapes: permittedShapes(routed, size) };
  const other = routed.fallback && { routed: routed.fallback, shapes: permittedShapes(routed.fallback, size) };
  const fallback = other && other.shapes.length > 0 ? other : undefined;
  if (own.shapes.length > 0) return fallback ? { ...own, fallback } : own;
  if (fallback) return fallback;
  const given = `${size.width}x${size.height}`;
  throw new JobError(
    'OUTPUT_TOO_LARGE',
    `model ${model.model} takes at most ${contract.maxWholePixels} pixels, given ${given}`,
  );
}

function permittedShapes({ contract }: Routed, size: Size): Shape[] {
  return contract.plans.flatMap((plan) => PLAN_TABLE[plan].shapes(contract, size));
}

function shrink(size: Size, { maxWidth = Infinity, maxHeight = Infinity }: Job['output']): Size {
  const ratio = Math.min(1, maxWidth / size.width, maxHeight / size.height);
  return { width: Math.max(1, Math.round(size.width * ratio)), height: Math.max(1, Math.round(size.height * ratio)) };
}

function invalid(message: string): JobError {
  return new JobError('INVALID_PARAMETERS', `output.${message}`, { stage: 'plan' });
}
