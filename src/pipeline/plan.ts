import { JobError } from '../domain/errors.js';
import type { InputFormat, Job } from '../domain/job.js';
import type { Size } from '../domain/raster.js';
import { defaultFormat, FORMATS } from './formats/index.js';
import type { Format } from './formats/format.js';
import { PLAN_TABLE } from './plans/index.js';
import type { Shape } from './plans/plan.js';
import type { Routed } from './routed.js';

/** Everything that is known about a job before its picture is decoded. */
export interface JobPlan {
  readonly steps: readonly PlannedStep[];
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
 * Chooses the version and the shapes of every operation, and predicts every size.
 * @param picture size of the upright input
 * @param maxPixels limit for each intermediate picture and for the result
 * @throws JobError `OUTPUT_TOO_LARGE`, `INVALID_PARAMETERS`
 */
export function planJob(job: Job, picture: Size, routed: readonly Routed[], maxPixels: number): JobPlan {
  const chosen = withinReach(picture, routed, maxPixels);
  const sizes = [picture, ...sizesAfter(picture, chosen, maxPixels)];
  const steps = chosen.map((step, i) => planStep(step, sizes[i] ?? picture));
  if (job.output.maskOnly && chosen.at(-1)?.model.output !== 'mask') {
    throw invalid('maskOnly: the last operation gives no mask');
  }
  return { steps, size: shrink(sizes.at(-1) ?? picture, job.output) };
}

/**
 * Chooses the format of the result: the requested one, or else the input's, or PNG if that is not written, or has no alpha and
 * the result has.
 * @param picture format of the input, and whether any of its pixels is transparent
 * @throws JobError `INVALID_PARAMETERS`; `OUTPUT_TOO_LARGE` when the format cannot hold the size
 */
export function chooseFormat(
  { output }: Job,
  picture: { readonly format: InputFormat; readonly hasAlpha: boolean },
  { steps, size }: JobPlan,
): Format {
  const isOpaque = output.maskOnly === true || output.background !== undefined;
  const alpha = !isOpaque && (picture.hasAlpha || steps.some(({ routed }) => routed.model.output === 'mask'));
  const name = output.format ?? defaultFormat(picture.format, alpha);
  const format = FORMATS[name];
  if (alpha && !format.alpha) {
    throw invalid(`background: expected "#rrggbb", because the result has alpha and ${name} has none`);
  }
  if (Math.max(size.width, size.height) > format.maxSide) {
    const given = `${size.width}x${size.height}`;
    throw new JobError('OUTPUT_TOO_LARGE', `${name}: expected at most ${format.maxSide} pixels a side, given ${given}`);
  }
  return format;
}

/**
 * Keeps each operation on its arm if the arm's version can take the picture and does not make it too large. Otherwise it
 * chooses the default version.
 */
function withinReach(picture: Size, routed: readonly Routed[], maxPixels: number): Routed[] {
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
function sizesAfter({ width, height }: Size, routed: readonly Routed[], maxPixels: number): Size[] {
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
