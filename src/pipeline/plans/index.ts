/**
 * A plan says how an image becomes requests. A new one is a file beside this, its name in domain/completion.ts, and a
 * line below.
 */
import type { PlanName } from '../../domain/completion.js';
import type { VersionContract } from '../../domain/contract.js';
import type { Raster, Size } from '../../domain/raster.js';
import type { Tensor } from '../../domain/tensor.js';
import type { Codec } from '../codec.js';
import { fit } from './fit.js';
import { tile } from './tile.js';
import { whole } from './whole.js';

/** One way to send one image: so many requests of one and the same shape. */
export interface Shape extends Size {
  readonly plan: PlanName;
  readonly requests: number;
  /** Whether no other picture has requests of this shape, but by chance. */
  readonly ownShape?: boolean;
  /** Whether the request may be padded to a larger window, to share an execution with others that may. */
  readonly mayGrow?: boolean;
  /** Pixels that all requests of one run may have together; without it a batch is the only limit. */
  readonly runPixels?: number;
}

/** A piece of the image on its way to the model. */
export interface View extends Size {
  readonly rgb: Buffer;
  /** Upper left corner in the whole image, for the `origin` input. */
  readonly x: number;
  readonly y: number;
}

/**
 * Runs `cut` when the model has room for one more request of this job, sends what it gives, and hands the answer to
 * `paste`. Cutting late is what bounds the memory: only requests in flight have tensors.
 * `cut` is told the window to fill: that of the shape, or a larger one where the shape may be padded. The answer has the
 * window's size times the scale.
 */
export type Send = (
  cut: (window: Size) => View | Promise<View>,
  paste: (answer: Tensor, window: Size) => void,
) => Promise<void>;

/** What came back: `channels` is 3 for an image, 1 for a mask; its size is the input's times the scale. */
export interface Answer extends Size {
  readonly channels: 1 | 3;
  readonly data: Buffer;
}

export interface Plan {
  /** The shapes that the contract permits for an image of this size; none if the plan cannot serve it. */
  readonly shapes: (contract: VersionContract, size: Size) => Shape[];
  /** Pixels of all requests of the shape together that are the image, each once. */
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

export const PLAN_TABLE: Readonly<Record<PlanName, Plan>> = { tile, fit, whole };
