/**
 * What a file would cost to open and to decode, told from its structure alone, before any decoder sees a byte of it.
 * The decoders bound what is wrong with a file, but not what is permitted and yet makes hours or gigabytes of a few
 * kilobytes: scans without end, frames by the million, text that inflates, hidden pictures. Each of these walks a file
 * once, forwards, and allocates nothing by a length that the file names.
 */
import { screenAvif } from './avif.js';
import { screenJpeg } from './jpeg.js';
import { screenPng } from './png.js';
import { screenWebp } from './webp.js';

/** What the structure says that sharp's metadata does not. */
export interface Preflight {
  /** Pixels that a decoder would work on, where these may be others than those of the picture. */
  readonly codedPixels?: number;
}

/**
 * @returns nothing known of a file that is none of ours: that is for the decoders to say
 * @throws JobError `INPUT_TOO_MANY_PIXELS`, `INPUT_TOO_LARGE`, `INPUT_CORRUPT`, `UNSUPPORTED_FORMAT`
 */
export function preflight(bytes: Buffer): Preflight {
  const starts = (at: number, text: string) => bytes.toString('latin1', at, at + text.length) === text;
  if (starts(0, '\xff\xd8')) screenJpeg(bytes);
  else if (starts(0, '\x89PNG')) screenPng(bytes);
  else if (starts(0, 'RIFF') && starts(8, 'WEBP')) screenWebp(bytes);
  else if (starts(4, 'ftyp')) return { codedPixels: screenAvif(bytes) };
  return {};
}
