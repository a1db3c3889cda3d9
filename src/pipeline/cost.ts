import type { Shape } from './plans/index.js';

/** Time of one execution on `n` images of `p` pixels: `fixed + n·p·perPixel`, in any one unit. */
export interface Cost {
  readonly fixed: number;
  readonly perPixel: number;
}

/** What is known of a version's cost, and how many jobs are at the moment likely to send it requests at once. */
export type Predict = (model: string, version: string) => Cost & { readonly jobsAtOnce: number };

/**
 * Before anything has been measured: launching costs as much as computing a picture of 256 × 256, which holds within a
 * factor of a few for convolutional networks on a T4-class device.
 */
export const DEFAULT_COST: Cost = { fixed: 65_536, perPixel: 1 };

/**
 * Predicted time of a shape. Requests of one fixed shape meet in Triton's batcher and share the launch, with each other
 * and with those of the other jobs in work; a picture sent as it is has a shape of its own and pays for it alone.
 * @param maxBatchSize of the model; 0 for one that does no batching
 */
export function predictedTime(
  shape: Shape,
  cost: Cost & { readonly jobsAtOnce: number },
  maxBatchSize: number,
): number {
  const pixels = shape.requests * shape.width * shape.height * cost.perPixel;
  if (shape.plan === 'whole') return cost.fixed + pixels;
  const batch = Math.min(Math.max(1, maxBatchSize), shape.requests * Math.max(1, cost.jobsAtOnce));
  return (shape.requests / batch) * cost.fixed + pixels;
}
