import type { Sharp } from 'sharp';
import { type InputFormat, OUTPUT_FORMATS, type OutputFormat } from '../../domain/job.js';
import { avif } from './avif.js';
import { jpeg } from './jpeg.js';
import { png } from './png.js';
import { webp } from './webp.js';

/** How to write a format. To add a format, add a file beside this one and a line below. */
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
}

export const FORMATS: Readonly<Record<OutputFormat, Format>> = { png, jpeg, webp, avif };

/** The format of the result of a job that names none: that of the input, or PNG if that is not written or has no alpha. */
export function defaultFormat(input: InputFormat, hasAlpha: boolean): OutputFormat {
  const same = OUTPUT_FORMATS.find((name) => name === input);
  return same === undefined || (hasAlpha && !FORMATS[same].alpha) ? 'png' : same;
}
