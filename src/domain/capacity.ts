import type { ModelContract } from './contract.js';

/** How many requests and batches a model can take at once. */
export interface Capacity {
  /** Limit of requests in flight: two full batches per instance, one that runs and one that waits. */
  readonly inFlight: number;
  /** Requests that one execution can serve. */
  readonly batch: number;
  readonly instances: number;
  /** Limit of batches in flight. Batches beyond the number of instances wait behind the others. */
  readonly runs: number;
  /** How long a batch in flight may still grow, in milliseconds. */
  readonly growMs: number;
  /** How long to wait from the end of one batch to the next, in milliseconds. */
  readonly pauseMs: number;
}

/**
 * An instance answers a moment before it is free. If the batcher does not prefetch, a request that arrives in between does
 * not wake it. If that is the only request, nothing wakes the batcher for half a second.
 */
const INSTANCE_FREE_MS = 4;

/** Capacity of an unavailable model. One request at a time finds out when the model is back. */
export const NO_CAPACITY: Capacity = { inFlight: 1, batch: 1, instances: 1, runs: 1, growMs: 0, pauseMs: 0 };

/**
 * Two batches per instance, one that runs and one that waits behind it. Only one batch if the batcher does not prefetch,
 * because the server would leave the second waiting although it could run it. That batch grows for half of the server's
 * delay, so that its last request still arrives in time.
 * @param contract undefined for an unavailable model
 */
export function capacityOf(
  contract: Pick<ModelContract, 'maxBatchSize' | 'instances' | 'batcher'> | undefined,
): Capacity {
  if (!contract) return NO_CAPACITY;
  const batch = Math.max(1, contract.maxBatchSize);
  const instances = Math.max(1, contract.instances);
  const { prefetches, delayMs } = contract.batcher;
  return {
    ...{ batch, instances, inFlight: 2 * batch * instances },
    ...(prefetches
      ? { runs: 2 * instances, growMs: Infinity, pauseMs: 0 }
      : { runs: instances, growMs: delayMs / 2, pauseMs: INSTANCE_FREE_MS }),
  };
}
