import type { Shape } from './plans/index.js';

/** Time of one execution on `n` images of `p` pixels: `fixed + n·p·perPixel`, in any one unit. */
export interface Cost {
  readonly fixed: number;
  readonly perPixel: number;
}

/** What is known of a version at the moment. */
export interface Outlook extends Cost {
  /** Jobs that are likely to send it requests at once. */
  readonly jobsAtOnce: number;
}

export type Predict = (model: string, version: string) => Outlook;

/**
 * Before anything has been measured: launching costs as much as computing 32,768 pixels, half a tile of 256 × 256. On a
 * T4 it is a tenth of that for the heaviest networks and ten times for the lightest. A low guess is the cautious one: of
 * thumbnails, dear launches then cost 1.3 times what they might until the true figure is known, and cheap ones 1.05 times.
 */
export const DEFAULT_COST: Cost = { fixed: 32_768, perPixel: 1 };

/**
 * The permitted shape of least predicted time. Where a picture may be padded, tiles are out of the question: they compute
 * more, and the whole picture is one launch or, in a bucket, a part of one. The others may be padded, too, so a frame of
 * fixed size can count on no requests but its own there.
 * @param shapes not empty
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
 * Predicted time of a shape, in the unit of the outlook's cost. Requests of one shape meet in Triton's batcher and share
 * the launch, with each other and, where the shape is not this picture's own, with those of the other jobs at once. A
 * picture that finds a bucket (bucket.ts) is only cheaper.
 * @param batch requests that one execution can serve, at least 1
 */
export function predictedTime(shape: Shape, outlook: Outlook, batch: number): number {
  const pixels = shape.requests * shape.width * shape.height * outlook.perPixel;
  const together = Math.min(batch, shape.requests * (shape.ownShape ? 1 : Math.max(1, outlook.jobsAtOnce)));
  return (shape.requests / together) * outlook.fixed + pixels;
}
