/** What Triton has measured: the planner's source for the time that a batch takes. */
import { status } from '@grpc/grpc-js';
import type { VersionStatistics } from '../../domain/ports.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure } from './errors.js';
import type { StatisticDuration } from './wire.js';

const NS_PER_MS = 1e6;

/** @throws the signal's reason, or ServiceError when the server does not answer */
export async function readStatistics(
  channel: Channel,
  model: string,
  options: CallOptions,
): Promise<readonly VersionStatistics[]> {
  const modelStats = await callStatistics(channel, model, options);
  return modelStats.map(({ version, inferenceCount, batchStats }) => ({
    version,
    requests: inferenceCount,
    batches: batchStats.map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
      batchSize,
      executions: computeInfer?.count ?? 0,
      // An instance is busy with all three.
      meanMs: mean(computeInput) + mean(computeInfer) + mean(computeOutput),
    })),
  }));
}

async function callStatistics(channel: Channel, model: string, options: CallOptions) {
  try {
    return (await channel.call('ModelStatistics', { name: model, version: '' }, options)).modelStats;
  } catch (error) {
    // So the server says that it has no such model, or no version of it that is ready.
    if (isCallFailure(error) && (error.code === status.INVALID_ARGUMENT || error.code === status.NOT_FOUND)) return [];
    throw error;
  }
}

function mean(duration: StatisticDuration | null): number {
  return duration && duration.count > 0 ? duration.ns / duration.count / NS_PER_MS : 0;
}
