/** Reads Triton's measurements, from which the planner learns how long a batch takes. */
import { status } from '@grpc/grpc-js';
import type { VersionStatistics } from '../../domain/ports.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure } from './errors.js';
import type { StatisticDuration } from './wire.js';

const NS_PER_MS = 1e6;

/** @throws the signal's reason, or ServiceError if the server does not answer */
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
      // All three keep an instance busy.
      meanMs: mean(computeInput) + mean(computeInfer) + mean(computeOutput),
    })),
  }));
}

async function callStatistics(channel: Channel, model: string, options: CallOptions) {
  try {
    return (await channel.call('ModelStatistics', { name: model, version: '' }, options)).modelStats;
  } catch (error) {
    // With these codes the server says that it has no such model, or no ready version of it.
    if (isCallFailure(error) && (error.code === status.INVALID_ARGUMENT || error.code === status.NOT_FOUND)) return [];
    throw error;
  }
}

function mean(duration: StatisticDuration | null): number {
  return duration && duration.count > 0 ? duration.ns / duration.count / NS_PER_MS : 0;
}
