import type { Shape } from './plans/plan.js';

/** Time of one execution on `n` images of `p` pixels: `fixed + n·p·perPixel`. */
export interface Cost {
  /** Whether the times are milliseconds. Before anything was measured, only their ratio means something. */
  readonly inMs?: boolean;
  readonly fixed: number;
  readonly perPixel: number;
}

/** What the worker currently knows about a version. */
export interface Outlook extends Cost {
  /** Number of jobs that probably send it requests at the same time. */
  readonly jobsAtOnce: number;
}

export type Predict = (model: string, version: string) => Outlook;

/**
 * Cost before anything was measured: a launch costs as much as 32,768 pixels, half a tile of 256 × 256. On a T4 a launch
 * costs a tenth of that for the heaviest networks and ten times that for the lightest. A low guess is the cautious one:
 * until the true cost is known, thumbnails take 1.3 times the best time if launches are expensive, 1.05 times if cheap.
 */
export const DEFAULT_COST: Cost = { fixed: 32_768, perPixel: 1 };

/**
 * Chooses the permitted shape with the least predicted time. If a picture may be padded, it never chooses tiles: they
 * compute more, and the whole picture takes one launch, or shares one in a padded group. Other pictures may be padded
 * too, so a frame of fixed size then counts only on its own requests.
 * @param shapes at least one
 */
export function chooseShape(shapes: readonly Shape[], outlook: Outlook, maxBatchSize: number): Shape {
  const batch = Math.max(1, maxBatchSize);
  const mayMeet = shapes.some(({ mayGrow }) => mayGrow);
  const candidates = mayMeet ? shapes.filter(({ plan }) => plan !== 'tile') : shapes;
  const jobsAtOnce = mayMeet ? 1 : outlook.jobsAtOnce;
  const timed = candidates.map((shape) => ({ shape, time: predictedTime(shape, { ...outlook, jobsAtOnce }, batch) }));
  return timed.reduce((best, one) => (one.time < best.time ? one : best)).shape;
}

/**
 * Predicted time of a shape, in the unit of the outlook's cost. Requests of one shape meet in Triton's batcher and
 * share a launch. If the shape is not the picture's own, they also share it with the other jobs of `jobsAtOnce`. A
 * padded group (padded-group.ts) only makes it cheaper.
 * @param batch requests that one execution can serve, at least 1
 */
export function predictedTime(shape: Shape, outlook: Outlook, batch: number): number {
  const pixels = shape.requests * shape.width * shape.height * outlook.perPixel;
  const together = Math.min(batch, shape.requests * (shape.ownShape ? 1 : Math.max(1, outlook.jobsAtOnce)));
  return (shape.requests / together) * outlook.fixed + pixels;
}
