/** What executions cost, from Triton's counts. */
import type { VersionStatistics } from '../../domain/ports.js';
import type { Cost } from '../../pipeline/cost.js';

/** Executions on one batch size. */
export interface Batch {
  readonly batchSize: number;
  readonly executions: number;
  /** Mean time for which one of them keeps an instance busy, in milliseconds. */
  readonly meanMs: number;
}

/** Executions on requests of one shape. */
export interface Observed extends Batch {
  /** Pixels of one request. */
  readonly pixels: number;
}

/** `fixed` is the launch in milliseconds, `perPixel` in milliseconds a pixel. */
export interface FittedCost extends Cost {
  /** Largest difference between a measured mean and the fitted time, as a share of the measured one. */
  readonly worstError: number;
}

/** What was computed between two reads. Counts that are lower than before mean that the model was loaded anew. */
export function batchesBetween(before: VersionStatistics | undefined, after: VersionStatistics): Batch[] {
  const earlier = new Map(before?.batches.map((batch) => [batch.batchSize, batch]));
  return after.batches.flatMap(({ batchSize, executions, meanMs }) => {
    const old = earlier.get(batchSize) ?? { executions: 0, meanMs: 0 };
    const more = executions - old.executions;
    if (more <= 0) return [];
    return [{ batchSize, executions: more, meanMs: (executions * meanMs - old.executions * old.meanMs) / more }];
  });
}

/** Adds up executions on the same batch size, in ascending order of the size. */
export function mergeBatches(batches: readonly Batch[]): Batch[] {
  const merged = new Map<number, { executions: number; ms: number }>();
  for (const { batchSize, executions, meanMs } of batches) {
    const sum = merged.get(batchSize) ?? { executions: 0, ms: 0 };
    merged.set(batchSize, { executions: sum.executions + executions, ms: sum.ms + executions * meanMs });
  }
  return [...merged]
    .map(([batchSize, { executions, ms }]) => ({ batchSize, executions, meanMs: ms / executions }))
    .sort((a, b) => a.batchSize - b.batchSize);
}

/**
 * Least squares of `time = fixed + perPixel · pixels of the batch`, neither of them negative. Errors count relative to the
 * time, so that large batches do not outweigh small ones. An observation weighs as much as its number of executions.
 * @returns undefined if all batches had the same number of pixels, because the two terms cannot be told apart then
 */
export function fitCost(observed: readonly Observed[]): FittedCost | undefined {
  const points = observed
    .filter(({ meanMs }) => meanMs > 0)
    .map(({ batchSize, pixels, executions, meanMs }) => ({
      ...{ x: batchSize * pixels, y: meanMs, weight: executions / meanMs ** 2 },
    }));
  if (new Set(points.map(({ x }) => x)).size < 2) return undefined;
  const sum = (of: (point: (typeof points)[number]) => number) =>
    points.reduce((total, point) => total + point.weight * of(point), 0);
  const [n, x, y, xx, xy] = [
    sum(() => 1),
    sum((p) => p.x),
    sum((p) => p.y),
    sum((p) => p.x ** 2),
    sum((p) => p.x * p.y),
  ];
  const perPixel = (n * xy - x * y) / (n * xx - x * x);
  const fixed = (y - perPixel * x) / n;
  const cost =
    perPixel < 0 ? { fixed: y / n, perPixel: 0 } : fixed < 0 ? { fixed: 0, perPixel: xy / xx } : { fixed, perPixel };
  const errors = points.map((p) => Math.abs(cost.fixed + cost.perPixel * p.x - p.y) / p.y);
  return { inMs: true, ...cost, worstError: Math.max(...errors) };
}
