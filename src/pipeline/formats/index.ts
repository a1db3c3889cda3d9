import type { Sharp } from 'sharp';
import type { OutputFormat } from '../../domain/job.js';
import { avif } from './avif.js';
import { jpeg } from './jpeg.js';
import { png } from './png.js';
import { webp } from './webp.js';

/** How a format is written. A new one is a file beside this and a line below. */
export interface Format {
  readonly contentType: string;
  readonly extension: string;
  readonly alpha: boolean;
  /** Longest side in pixels that the format, or the encoder, can hold. */
  readonly maxSide: number;
  /** Memory that the encoder takes, in bytes a pixel; measured. */
  readonly encoderBytes: number;
  /** Time that the encoder takes, in nanoseconds a pixel of one processor; measured. */
  readonly encoderNs: number;
  readonly encode: (picture: Sharp, quality: number | undefined) => Sharp;
}

export const FORMATS: Readonly<Record<OutputFormat, Format>> = { png, jpeg, webp, avif };
