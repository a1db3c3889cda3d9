/** The limits of one operation on an arm of an experiment, beyond which the default version does it. */
import { JobError } from '../domain/errors.js';
import type { Arm } from '../domain/experiment.js';
import { anyOf } from '../domain/signals.js';
import type { RequestScheduler } from './transform.js';

/** How an operation was given up: it took too long, or its arm was stopped while its requests waited for their turn. */
export type GivenUp = { readonly kind: 'slow'; readonly error: JobError } | { readonly kind: 'stopped' };

export interface ArmLimit {
  /** Fires when the operation is given up, and when the job's signal does. */
  readonly signal: AbortSignal;
  /** Schedules the requests of the operation. */
  readonly schedule: RequestScheduler;
  /** Undefined unless the operation was given up. */
  readonly givenUp: () => GivenUp | undefined;
  /** Call it when the operation has ended. */
  readonly release: () => void;
}

/**
 * Limits the time for which an operation has requests at Triton to the `maxSeconds` of the arm's guard. The time in which
 * all its requests wait for their turn in this worker does not count: a long queue is not the version's fault.
 */
export function limitOnArm(arm: Arm, { schedule, signal, isStopped }: ArmLimitOptions): ArmLimit {
  const giveUp = new AbortController();
  const both = anyOf([signal, giveUp.signal]);
  const { maxSeconds } = arm.guard ?? {};
  let givenUp: GivenUp | undefined;
  let leftMs = maxSeconds === undefined ? Infinity : maxSeconds * 1000;
  let atTriton = 0;
  let since = 0;
  let timer: NodeJS.Timeout | undefined;

  function end(how: GivenUp): void {
    if (givenUp || signal.aborted) return;
    givenUp = how;
    giveUp.abort(new Error('the operation on the arm was given up'));
  }

  async function counted<T>(task: () => Promise<T>): Promise<T> {
    if (isStopped?.(arm)) end({ kind: 'stopped' });
    both.signal.throwIfAborted();
    if (atTriton++ === 0 && leftMs < Infinity) {
      since = performance.now();
      timer = setTimeout(() => end({ kind: 'slow', error: tooSlow(arm) }), leftMs);
    }
    try {
      return await task();
    } finally {
      if (--atTriton === 0) {
        clearTimeout(timer);
        leftMs = Math.max(0, leftMs - (performance.now() - since));
      }
    }
  }

  return {
    signal: both.signal,
    schedule: (request, task, until) => schedule(request, (window, turn) => counted(() => task(window, turn)), until),
    givenUp: () => givenUp,
    release() {
      clearTimeout(timer);
      both.release();
    },
  };
}

export interface ArmLimitOptions {
  readonly schedule: RequestScheduler;
  /** The job's own. */
  readonly signal: AbortSignal;
  readonly isStopped?: ((arm: Arm) => boolean) | undefined;
}

function tooSlow({ model, version, guard }: Arm): JobError {
  const message = `model ${model}, version ${version}: not done within ${guard?.maxSeconds} s at Triton, the limit of its guard`;
  return new JobError('EXECUTION_TIMEOUT', message, { stage: 'infer' });
}
