import type { Sharp } from 'sharp';
import type { Size } from '../../domain/raster.js';
import type { TurboJpeg } from '../jpeg/turbo.js';

/** How to write a format. To add a format, add a file beside this one and a line in index.ts. */
export interface Format {
  readonly contentType: string;
  readonly extension: string;
  readonly lossless: boolean;
  readonly alpha: boolean;
  /** Longest side that the format or the encoder can hold, in pixels. */
  readonly maxSide: number;
  /** Measured memory of the encoder, in bytes per pixel. */
  readonly encoderBytes: number;
  /** Measured encoding time on one processor, in nanoseconds per pixel. */
  readonly encoderNs: number;
  readonly encode: (picture: Sharp, quality: number | undefined, keepHidden?: boolean) => Sharp;
  /** Writes the same file from 8-bit RGB, without sharp. @returns undefined if only sharp can write it */
  readonly fromRgb?: (
    turbo: TurboJpeg,
    rgb: Buffer,
    size: Size,
    quality: number | undefined,
  ) => Promise<Buffer | undefined>;
}
