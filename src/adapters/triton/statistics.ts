/** What Triton has measured: the planner's source for the time that a batch takes. */
import type { CallOptions, Channel } from './channel.js';
import type { StatisticDuration } from './wire.js';

/** Counted since the version was loaded. */
export interface VersionStatistics {
  readonly version: string;
  /** Requests answered. */
  readonly requests: number;
  /** Runs of the model; `requests / executions` is the achieved batch size. */
  readonly executions: number;
  /** Time that requests waited in the queue, summed over them. */
  readonly queueMs: number;
  readonly batches: readonly BatchStatistics[];
}

export interface BatchStatistics {
  readonly batchSize: number;
  readonly executions: number;
  /** Time that an instance was busy with one execution of this size, on average: input, inference and output. */
  readonly meanMs: number;
}

const NS_PER_MS = 1e6;

/** @throws the signal's reason, or ServiceError: NOT_FOUND when no version of the model is ready */
export async function readStatistics(
  channel: Channel,
  model: string,
  options: CallOptions,
): Promise<readonly VersionStatistics[]> {
  const { modelStats } = await channel.call('ModelStatistics', { name: model, version: '' }, options);
  return modelStats.map(({ version, inferenceCount, executionCount, inferenceStats, batchStats }) => ({
    version,
    requests: inferenceCount,
    executions: executionCount,
    queueMs: (inferenceStats?.queue?.ns ?? 0) / NS_PER_MS,
    batches: batchStats.map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
      batchSize,
      executions: computeInfer?.count ?? 0,
      meanMs: mean(computeInput) + mean(computeInfer) + mean(computeOutput),
    })),
  }));
}

function mean(duration: StatisticDuration | null): number {
  return duration && duration.count > 0 ? duration.ns / duration.count / NS_PER_MS : 0;
}
