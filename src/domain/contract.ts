/**
 * The contract is what the worker reads from Triton about a model. It comes from the model's own config.pbtxt, so a new
 * model needs no code here. triton/README.md documents the keys and defaults.
 */
import type { PlanName } from './completion.js';

/** What one version of a model promises. Lengths are in pixels of the input unless a field says otherwise. */
export interface VersionContract {
  readonly plans: readonly PlanName[];
  /** Sides of the square tiles, in ascending order. */
  readonly tileSizes: readonly number[];
  /** Pixels on each side of a tile that are computed and discarded. */
  readonly margin: number;
  /**
   * What the network sees beyond a picture. `pad`: something of its own, such as zeros, so the worker adds a margin of
   * pixels. `repeat`: the picture's last row and column, so more of them change nothing.
   */
  readonly border: 'pad' | 'repeat';
  /** Largest difference that a seam may show, in levels of 255. */
  readonly seamTolerance: number;
  readonly maxWholePixels: number;
  readonly fitSize?: { readonly width: number; readonly height: number };
  /** `letterbox` keeps the aspect ratio and fills the rest of the frame. `stretch` fills the frame with the picture. */
  readonly fitMode: 'letterbox' | 'stretch';
  /** Letterbox colour of `fit`: red, green and blue, each 0 to 255. */
  readonly fitFill: readonly [number, number, number];
  /** Output side ÷ input side. */
  readonly scale: number;
  /** JSON Schema of the `parameters` that a job may pass. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ModelContract {
  readonly model: string;
  /** `image` for `[H·s, W·s, 3]`, `mask` for `[H, W, 1]`. */
  readonly output: 'image' | 'mask';
  /** Whether the model takes the second input `origin`. */
  readonly takesOrigin: boolean;
  /** 0 if the model does no batching. */
  readonly maxBatchSize: number;
  readonly instances: number;
  /** How the server forms batches for the model. */
  readonly batcher: Batcher;
  /** Ready versions by number, the newest last. */
  readonly versions: ReadonlyMap<string, VersionContract>;
}

export interface Batcher {
  /** How long a request waits for others to join its batch, in milliseconds. */
  readonly delayMs: number;
  /**
   * Whether Triton forms a batch while the previous one runs. With priority levels or queue limits it does not, so that it
   * can choose requests at the last moment. It may then notice a free instance only at the next request, or up to half a
   * second later (rate_limiter.cc and dynamic_batch_scheduler.cc of Triton 2.51).
   */
  readonly prefetches: boolean;
}

/** An unusable contract. The message names the model, the key, what was expected and what was given. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
}

/** The parts of Triton's model config from which a contract is read. */
export interface ModelDescription {
  readonly model: string;
  readonly maxBatchSize: number;
  readonly instances: number;
  readonly batcher: Batcher;
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
  /** `parameters` of config.pbtxt. Each value is a string. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly readyVersions: readonly string[];
}

export interface TensorDescription {
  readonly name: string;
  /** Triton's name of the type without its prefix: `UINT8`, `FP32`, … */
  readonly datatype: string;
  /** Dimensions without the batch dimension. −1 permits any size. */
  readonly dims: readonly number[];
  readonly optional: boolean;
}

/** One thing that is wrong with a contract. */
export interface ContractFault {
  /** A key of `parameters`, a tensor, or another field of the configuration. */
  readonly key: string;
  readonly expected: string;
  readonly given: string;
}

/** Side of the smallest request of a model that takes pictures of any size, in pixels. */
const SMALL_SIDE = 64;

/** The smallest request that a version is sure to take, in pixels. */
export function smallestRequest(
  { versions }: ModelContract,
  version: string,
): { readonly width: number; readonly height: number } {
  const contract = versions.get(version);
  const [tile] = contract?.tileSizes ?? [];
  if (contract?.plans.includes('tile') && tile !== undefined) return { width: tile, height: tile };
  if (contract?.fitSize && !contract.plans.includes('whole')) return contract.fitSize;
  const side = Math.min(SMALL_SIDE, Math.floor(Math.sqrt(contract?.maxWholePixels ?? Infinity)));
  return { width: side, height: side };
}
