/** Runs an operation on an arm of an experiment. If the arm's version fails, it runs once more on the default version. */
import { type ErrorCode, JobError } from '../domain/errors.js';
import type { Arm, ArmEnd } from '../domain/experiment.js';
import type { Raster } from '../domain/raster.js';
import { annotate, happened, inSpan } from '../tracing/spans.js';
import type { PlannedStep } from './plan.js';
import type { Routed } from './route.js';
import { nameArm, transform, type Transformed, type TransformOptions } from './transform.js';

/**
 * Errors that a version itself can cause: it raised an error, refused input that its contract promises to take, or
 * returned a wrong output. An unavailable or overloaded version recovers, so its requests are deferred as usual. But if
 * its process ended or ran out of memory during this request, another version may do better. A passed deadline is the
 * job's own. INTERNAL is a fault of this worker, which any version would meet.
 */
const OWN: ReadonlySet<ErrorCode> = new Set(['INFERENCE_FAILED', 'MODEL_REJECTED_INPUT', 'MODEL_OUTPUT_INVALID']);

const isOwn = (error: unknown): error is JobError =>
  error instanceof JobError &&
  error.code !== 'INTERNAL' &&
  (OWN.has(error.code) || error.costsAttempt || error.outOfMemory);

export interface FallbackOptions extends TransformOptions {
  /** Called when an operation on an arm has ended, with the error of the arm's version; must not throw. */
  readonly onArm?: (arm: Arm, end: ArmEnd, error?: JobError) => void;
  /** Called before the default version gets the operation; must not throw. */
  readonly onFallback: (to: Routed) => void;
}

/**
 * Like `transform`, with the fallback for arms.
 * @throws JobError of stage `infer`; the error of the default version if that was asked
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
    // A deferred or aborted operation has not ended, so it has no outcome yet.
    if (isOwn(thrown)) told('unclear', failure);
    throw thrown;
  }
}
