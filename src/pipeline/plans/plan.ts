import type { PlanName } from '../../domain/completion.js';
import type { Raster, Size } from '../../domain/raster.js';
import type { Tensor } from '../../domain/tensor.js';
import type { VersionContract } from '../../domain/contract.js';
import type { Codec } from '../codec.js';

/** One way to send an image: a number of requests that all have the same shape. */
export interface Shape extends Size {
  readonly plan: PlanName;
  readonly requests: number;
  /** Whether the shape depends on this picture, so that other pictures have it only by chance. */
  readonly ownShape?: boolean;
  /** Whether a request may be padded to a larger window, so that it shares an execution with other padded requests. */
  readonly mayGrow?: boolean;
  /** Limit of pixels for all requests of one run together. Without it, the batch is the only limit. */
  readonly runPixels?: number;
}

/** A piece of the image that is sent to the model. */
export interface View extends Size {
  readonly rgb: Buffer;
  /** Upper left corner in the whole image, for the `origin` input. */
  readonly x: number;
  readonly y: number;
}

/**
 * Runs `cut` when the model has capacity for one more request of this job, sends the view, and passes the answer to
 * `paste`. Late cutting bounds the memory, because only requests in flight have tensors.
 * `cut` gets the window to fill: the window of the shape, or a larger one if the shape may be padded. The answer has the
 * size of the window times the scale.
 */
export type Send = (
  cut: (window: Size) => View | Promise<View>,
  paste: (answer: Tensor, window: Size) => void,
) => Promise<void>;

/** The stitched answer. `channels` is 3 for an image, 1 for a mask. Its size is the size of the input times the scale. */
export interface Answer extends Size {
  readonly channels: 1 | 3;
  readonly data: Buffer;
}

export interface Plan {
  /** The shapes that the contract permits for an image of this size. Empty if the plan cannot serve it. */
  readonly shapes: (contract: VersionContract, size: Size) => Shape[];
  /** Pixels of the image in all requests of the shape together, each counted once. */
  readonly useful: (image: Size, shape: Shape, contract: VersionContract) => number;
  readonly execute: (
    raster: Raster,
    shape: Shape,
    contract: VersionContract,
    channels: 1 | 3,
    send: Send,
    codec: Codec,
  ) => Promise<Answer>;
}
