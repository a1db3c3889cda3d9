/**
 * Tensors in memory that is shared with the server. Only their description is sent. The server must be on the same host and
 * see the same /dev/shm (in a pod: a volume of kind Memory that both containers mount there). It must also know whether a
 * region is in use (Triton 2.51 does; an older one may exit when a region in use is unregistered).
 */
import { status } from '@grpc/grpc-js';
import { JobError } from '../../domain/errors.js';
import type { Channel } from './channel.js';
import { faultOf, isCallFailure, toJobError, TransportError } from './errors.js';
import { aligned, isFull, reclaimRegions, Region } from './region.js';
import { DIRECTORY } from './region-names.js';
import { MIN_BYTES, RegionPool } from './region-pool.js';
import { countdown, type InferOptions, type InferTransport, inTime } from './transport.js';
import type { InferParameters, ModelInferRequest, ModelInferResponse } from './wire.js';

const RECLAIM_EVERY_MS = 90_000;

/** @param unary sends the requests for which there is no memory left */
export function sharedMemoryTransport(
  channel: Channel,
  unary: InferTransport,
  pool = new RegionPool(channel),
): InferTransport {
  let reclaimedAt = -Infinity;
  return {
    async infer(request, options) {
      if (performance.now() - reclaimedAt > RECLAIM_EVERY_MS) {
        reclaimedAt = performance.now();
        // Runs in parallel with the request, since it only frees the memory of dead workers. It is repeated later, because
        // some workers count as dead only after a while.
        reclaimRegions(channel).catch(() => (reclaimedAt = -Infinity));
      }
      const left = countdown(options);
      const inputBytes = request.rawInputContents.reduce((sum, { length }) => sum + aligned(length), 0);
      const region = await takeInTime(pool, inputBytes + options.outputBytes, options);
      if (!region) return unary.infer(request, left());
      try {
        options.onSend?.('shm');
        const described = intoRegion(request, region, inputBytes, options.outputBytes);
        const response = await channel.call('ModelInfer', described, left());
        const answer = outOfRegion(response, region, inputBytes, options.outputBytes);
        pool.give(region);
        return answer;
      } catch (error) {
        if (serverIsDone(error, options)) pool.give(region);
        else void pool.retire(region);
        if (isUnknownRegion(error)) pool.forget();
        else if (!isFull(error)) throw error;
        return unary.infer(request, left());
      }
    },
    close: () => pool.close(),
  };
}

/**
 * Uses shared memory if a trial shows that it works, otherwise unary calls. It decides when the server first answers, and
 * leaves shared memory for good if a later server on the same address refuses it.
 * @param onRefused called with the reason when it decides for unary calls; must not throw
 */
export function autoTransport(
  channel: Channel,
  unary: InferTransport,
  onRefused: (reason: string) => void = () => undefined,
): InferTransport {
  const shared = sharedMemoryTransport(channel, unary);
  let trial: Promise<InferTransport> | undefined;
  const leave = (reason: string): InferTransport => {
    onRefused(reason);
    return unary;
  };
  const decide = async () => {
    const fault = await trySharing(channel);
    return fault === undefined ? shared : leave(fault);
  };
  /** Requests that are refused together leave once. */
  const leaveAfter = (reason: string, refused: typeof trial) => {
    if (trial === refused) trial = Promise.resolve(leave(reason));
  };
  return {
    async infer(request, options) {
      const left = countdown(options);
      const deciding = (trial ??= decide());
      const decided = deciding.catch(() => {
        if (trial === deciding) trial = undefined;
        return unary;
      });
      const transport = await inTime(decided, 'trial of shared memory', options);
      try {
        return await transport.infer(request, left());
      } catch (error) {
        if (transport === unary || !isRefused(error)) throw error;
        leaveAfter(error.details, deciding);
        return unary.infer(request, left());
      }
    },
    close: () => shared.close(),
  };
}

/**
 * Takes a region within the time limit. One that arrives too late goes back to the pool.
 * @throws also TransportError DEADLINE_EXCEEDED, and the signal's reason
 */
async function takeInTime(pool: RegionPool, bytes: number, options: InferOptions): Promise<Region | undefined> {
  const taking = pool.take(bytes);
  try {
    return await inTime(taking, 'making shared memory', options);
  } catch (error) {
    taking.then(
      (region) => region && pool.give(region),
      () => undefined, // the same error, or too late to matter
    );
    throw error;
  }
}

/** Writes the inputs into the region. The output will follow them. */
function intoRegion(
  request: ModelInferRequest,
  region: Region,
  inputBytes: number,
  outputBytes: number,
): ModelInferRequest {
  const offsets = region.write(request.rawInputContents);
  const inputs = request.inputs.map((input, index) => {
    const length = request.rawInputContents[index]?.length ?? 0;
    return { ...input, parameters: place(region, offsets[index] ?? 0, length) };
  });
  const outputs = request.outputs.map((output) => ({ ...output, parameters: place(region, inputBytes, outputBytes) }));
  return { ...request, inputs, outputs, rawInputContents: [] };
}

function place(region: Region, offset: number, length: number): InferParameters {
  return {
    shared_memory_region: { stringParam: region.name },
    shared_memory_offset: { int64Param: offset },
    shared_memory_byte_size: { int64Param: length },
  };
}

/** The answer with its bytes copied out of the region. The codec detects a shorter output. */
function outOfRegion(
  response: ModelInferResponse,
  region: Region,
  offset: number,
  outputBytes: number,
): ModelInferResponse {
  return { ...response, rawOutputContents: response.outputs.map(() => region.read(offset, outputBytes)) };
}

/** Whether the error is an answer to this very request, so that the server has finished with the region. */
function serverIsDone(error: unknown, { signal }: InferOptions): boolean {
  if (faultOf(error) !== undefined) return true;
  const meaning = toJobError(error, 'inference', { signal });
  if (!(meaning instanceof JobError)) return false;
  return ['MODEL_OVERLOADED', 'MODEL_REJECTED_INPUT', 'INFERENCE_FAILED'].includes(meaning.code);
}

/** Whether the server has restarted since the region was registered. */
function isUnknownRegion(error: unknown): boolean {
  return isCallFailure(error) && /unable to find shared memory region/i.test(error.details);
}

/**
 * Tests whether the server sees the worker's /dev/shm.
 * @returns why not; undefined if it does
 * @throws ServiceError if the server cannot be reached
 */
export async function trySharing(channel: Channel): Promise<string | undefined> {
  try {
    const region = await Region.create(channel, MIN_BYTES);
    await region?.release(channel);
    return region ? undefined : `${DIRECTORY} is full`;
  } catch (error) {
    if (isRefused(error)) return error.details;
    throw error;
  }
}

/** Whether memory cannot be shared with this server at all, as `Region.create` says it. */
function isRefused(error: unknown): error is TransportError {
  return error instanceof TransportError && error.code === status.FAILED_PRECONDITION;
}
