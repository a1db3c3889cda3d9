import { JobError } from '../domain/errors.js';
import type { Job, OutputFormat } from '../domain/job.js';
import type { Raster, Size } from '../domain/raster.js';
import { type Format, FORMATS } from './formats/index.js';
import { PLAN_TABLE, type Shape } from './plans/index.js';
import type { Routed } from './route.js';

/** Everything that is known about a job before the first inference. */
export interface JobPlan {
  readonly steps: readonly PlannedStep[];
  readonly format: Format;
  /** Size of the result file. */
  readonly size: Size;
}

export interface PlannedStep {
  readonly routed: Routed;
  /** The shapes in which the model permits this picture; at least one. The best is known only when it is sent. */
  readonly shapes: readonly Shape[];
  /** The same operation on the default version. It runs if an arm's version fails. */
  readonly fallback?: PlannedStep;
}

/**
 * Predicts every size and chooses the format.
 * @param maxPixels limit for each intermediate picture and for the result
 * @throws JobError `OUTPUT_TOO_LARGE`, `INVALID_PARAMETERS`
 */
export function planJob(
  job: Job,
  picture: { readonly raster: Raster; readonly format: OutputFormat },
  routed: readonly Routed[],
  maxPixels: number,
): JobPlan {
  const chosen = withinReach(picture.raster, routed, maxPixels);
  const sizes = [picture.raster, ...sizesAfter(picture.raster, chosen, maxPixels)];
  const steps = chosen.map((step, i) => planStep(step, sizes[i] ?? picture.raster));
  const size = sizes.at(-1) ?? picture.raster;
  let alpha = picture.raster.alpha !== undefined || chosen.some(({ model }) => model.output === 'mask');

  if (job.output.maskOnly) {
    if (chosen.at(-1)?.model.output !== 'mask') throw invalid('maskOnly: the last operation gives no mask');
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
 * Keeps each operation on its arm if the arm's version can take the picture and does not make it too large. Otherwise it
 * chooses the default version.
 */
export function withinReach(picture: Size, routed: readonly Routed[], maxPixels: number): Routed[] {
  let size: Size = picture;
  const grown = ({ contract }: Routed): Size => ({
    width: size.width * contract.scale,
    height: size.height * contract.scale,
  });
  return routed.map((step) => {
    const { width, height } = grown(step);
    const can = width * height <= maxPixels && permittedShapes(step, size).length > 0;
    const chosen = can ? step : (step.fallback ?? step);
    size = grown(chosen);
    return chosen;
  });
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

/** @throws JobError `OUTPUT_TOO_LARGE` when no shape can hold the picture */
function planStep(routed: Routed, size: Size): PlannedStep {
  const { model, version, contract, fallback } = routed;
  const shapes = permittedShapes(routed, size);
  if (shapes.length === 0) {
    const given = `${size.width}x${size.height}`;
    const name = `model ${model.model}, version ${version}`;
    throw new JobError('OUTPUT_TOO_LARGE', `${name} takes at most ${contract.maxWholePixels} pixels, given ${given}`);
  }
  // A default version with another scale would give a result of another size, which was not planned.
  if (fallback?.contract.scale !== contract.scale) return { routed, shapes };
  const others = permittedShapes(fallback, size);
  return { routed, shapes, ...(others.length > 0 ? { fallback: { routed: fallback, shapes: others } } : {}) };
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
