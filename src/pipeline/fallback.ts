/** An operation on an arm of an experiment: what its version fails at is done again on the default version, once. */
import { type ErrorCode, JobError } from '../domain/errors.js';
import type { Arm, ArmEnd } from '../domain/experiment.js';
import type { Raster } from '../domain/raster.js';
import { annotate, happened, inSpan } from '../tracing/spans.js';
import type { PlannedStep } from './plan.js';
import type { Routed } from './route.js';
import { nameArm, transform, type Transformed, type TransformOptions } from './transform.js';

/**
 * Failures that can be a version's own: it raised an error, did not take what its contract promises to take, or gave
 * something else. What is unavailable or overloaded comes back, and is waited for as ever; but not where its process ended, or
 * its memory did not suffice, while it held this request: another version may do better. A deadline is the job's. And INTERNAL
 * is a fault of this worker's, which would be the same with any version.
 */
const OWN: ReadonlySet<ErrorCode> = new Set(['INFERENCE_FAILED', 'MODEL_REJECTED_INPUT', 'MODEL_OUTPUT_INVALID']);

const isOwn = (error: unknown): error is JobError =>
  error instanceof JobError && error.code !== 'INTERNAL' && (OWN.has(error.code) || error.suspect || error.outOfMemory);

export interface FallbackOptions extends TransformOptions {
  /** Told how an operation on an arm ended, and the error of the arm's version; must not throw. */
  readonly onArm?: (arm: Arm, end: ArmEnd, error?: JobError) => void;
  /** Told before the default version is asked; must not throw. */
  readonly onFallback: (to: Routed) => void;
}

/**
 * As `transform`, but for arms.
 * @throws JobError of stage `infer`; of the default version's where that was asked
 */
export async function transformOnArm(
  raster: Raster,
  planned: PlannedStep,
  options: FallbackOptions,
): Promise<Transformed> {
  const { routed, fallback } = planned;
  const { arm } = routed;
  if (!arm) return transform(raster, planned, options);
  const told = (end: ArmEnd, error?: JobError) => options.onArm?.(arm, end, error);
  annotate(() => ({ 'imagen.experiment': arm.experiment, 'imagen.arm': arm.name }));
  let failure: JobError;
  try {
    const done = await transform(raster, planned, options);
    told('done');
    return done;
  } catch (thrown) {
    if (!isOwn(thrown) || options.signal.aborted) throw thrown;
    if (!fallback) {
      told('failed', thrown);
      throw thrown;
    }
    failure = thrown;
    happened('falls back', { 'imagen.version': fallback.routed.version, 'error.type': thrown.code });
  }
  options.onFallback(fallback.routed);
  try {
    const name = `fall back ${routed.model.model}`;
    const { step, ...rest } = await inSpan(name, {}, () => transform(raster, fallback, options));
    told('failed', failure);
    return { ...rest, step: { ...step, ...nameArm(arm), fallbackFrom: routed.version } };
  } catch (thrown) {
    // What was put off or broken off has not ended: it will be asked again, or by nobody.
    if (isOwn(thrown)) told('unclear', failure);
    throw thrown;
  }
}
