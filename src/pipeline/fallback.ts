/** Runs an operation on an arm of an experiment. If the arm's version fails, it runs once more on the default version. */
import { type ErrorCode, JobError } from '../domain/errors.js';
import type { Arm, ArmEnd } from '../domain/experiment.js';
import type { Raster } from '../domain/raster.js';
import { addAttributes, addEvent, inSpan } from '../tracing/spans.js';
import { type GivenUp, limitOnArm } from './arm-limit.js';
import type { PlannedStep } from './plan.js';
import type { Routed } from './routed.js';
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
  /** Whether the arm was stopped in the meantime. */
  readonly isStopped?: (arm: Arm) => boolean;
  /** Called before the default version gets the operation; must not throw. */
  readonly onFallback: (to: Routed) => void;
}

/**
 * Like `transform`, with the fallback for arms. An operation that takes longer than the arm's guard permits is given up. So
 * it leaves no trace on its job: it is no unanswered request of a suspect job, and costs no attempt.
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
  addAttributes(() => ({ 'imagen.experiment': arm.experiment, 'imagen.arm': arm.name }));
  const tried = await tryOnArm(arm, raster, planned, options);
  if (tried.kind === 'done') {
    told('done');
    return tried.done;
  }
  if (!fallback) {
    if (tried.kind === 'stopped') throw new Error('expected a default version for an operation that was given up');
    told('failed', tried.error);
    throw tried.error;
  }
  options.onFallback(fallback.routed);
  const name = `fall back ${routed.model.model}`;
  const again = () => inSpan(name, {}, () => transform(raster, fallback, options));
  if (tried.kind === 'stopped') return again();
  addEvent('falls back', { 'imagen.version': fallback.routed.version, 'error.type': tried.error.code });
  try {
    const { step, ...rest } = await again();
    told('failed', tried.error);
    return { ...rest, step: { ...step, ...nameArm(arm), fallbackFrom: routed.version } };
  } catch (thrown) {
    // A deferred or aborted operation has not ended, so it has no outcome yet.
    if (isOwn(thrown)) told('unclear', tried.error);
    throw thrown;
  }
}

type Tried =
  | { readonly kind: 'done'; readonly done: Transformed }
  | { readonly kind: 'failed'; readonly error: JobError }
  | GivenUp;

/** @throws what ends the job, or puts it off, on any version */
async function tryOnArm(arm: Arm, raster: Raster, planned: PlannedStep, options: FallbackOptions): Promise<Tried> {
  // An operation that no other version can do is not given up.
  const limit = planned.fallback ? limitOnArm(arm, options) : undefined;
  try {
    return { kind: 'done', done: await transform(raster, planned, { ...options, ...limit }) };
  } catch (thrown) {
    const givenUp = limit?.givenUp();
    if (options.signal.aborted) throw thrown;
    if (givenUp) return givenUp;
    if (!isOwn(thrown)) throw thrown;
    return { kind: 'failed', error: thrown };
  } finally {
    limit?.release();
  }
}
