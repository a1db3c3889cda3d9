import { type InputFormat, OUTPUT_FORMATS, type OutputFormat } from '../../domain/job.js';
import { avif } from './avif.js';
import { jpeg } from './jpeg.js';
import { png } from './png.js';
import { webp } from './webp.js';
import type { Format } from './format.js';

export const FORMATS: Readonly<Record<OutputFormat, Format>> = { png, jpeg, webp, avif };

/** The format of the result of a job that names none: that of the input, or PNG if that is not written or has no alpha. */
export function defaultFormat(input: InputFormat, hasAlpha: boolean): OutputFormat {
  const same = OUTPUT_FORMATS.find((name) => name === input);
  return same === undefined || (hasAlpha && !FORMATS[same].alpha) ? 'png' : same;
}
