/**
 * Estimates from the structure of a file what it costs to open and to decode, before any decoder reads it. Decoders reject
 * invalid files. They do not limit valid files of a few kilobytes that cost hours or gigabytes: endless scans, millions of
 * frames, text that inflates, hidden pictures. Each check here reads a file once, forwards, and allocates no memory by a
 * length that the file states.
 */
import { GifFile, type Placed } from '../gif.js';
import { JpegFile } from '../jpeg/index.js';
import { TiffFile } from '../tiff/index.js';
import { type Nclx, preflightAvif } from './avif.js';
import { preflightPng } from './png.js';
import { preflightWebp } from './webp.js';

/** Facts from the structure that sharp's metadata lacks. */
export interface Preflight {
  /** Pixels that a decoder would decode, if they can differ from the pixels of the picture. */
  readonly codedPixels?: number;
  /** Chunks of a PNG before its pixels, by type. */
  readonly chunks?: ReadonlyMap<string, Buffer>;
  /** Numbers of an AVIF's colour space (ITU-T H.273). */
  readonly nclx?: Nclx | undefined;
  /** Whether the colours of an AVIF are multiplied by its alpha. */
  readonly premultiplied?: boolean;
  /** Checks the pixels of a JPEG, TIFF or GIF. */
  readonly checked?: CheckedFile;
  readonly jpeg?: JpegFile;
  /** Frames of a GIF, pages of a TIFF. */
  readonly frames?: number;
  /** Canvas of a GIF whose first frame is smaller. */
  readonly placed?: Placed | undefined;
  /** Whether the preflight bounds what the decoder's own limits would refuse: libtiff refuses strips and tiles above 50 MB. */
  readonly unlimited?: boolean;
  /** Bytes that the decoder holds beside rows of the picture. */
  readonly heldBytes?: number;
}

/** A file whose data the worker follows itself, because the decoder does not say whether all of them are there. */
export interface CheckedFile {
  /** @throws JobError `INPUT_CORRUPT` unless every pixel is there */
  check(): Promise<void>;
  /** The file as the decoder has to see it. */
  mended(): Buffer;
  /** Pixels per inch that the file states. */
  readonly density?: number | undefined;
  /** The file's EXIF where the decoder does not hand it over. */
  readonly exif?: Buffer | undefined;
}

/** The two byte orders, and both of BigTIFF. */
const TIFF_STARTS = ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'];

/**
 * Checks a file in one of the six formats. For any other file it returns an empty object, and the decoders reject it.
 * @throws JobError `INPUT_TOO_MANY_PIXELS`, `INPUT_TOO_LARGE`, `INPUT_CORRUPT`, `UNSUPPORTED_FORMAT`
 */
export function preflight(bytes: Buffer): Preflight {
  const starts = (at: number, text: string) => bytes.toString('latin1', at, at + text.length) === text;
  if (starts(0, '\xff\xd8')) return ofJpeg(new JpegFile(bytes));
  if (starts(0, '\x89PNG')) return { chunks: preflightPng(bytes) };
  if (starts(0, 'GIF8')) return ofGif(new GifFile(bytes));
  if (TIFF_STARTS.some((start) => starts(0, start))) return ofTiff(new TiffFile(bytes));
  if (starts(0, 'RIFF') && starts(8, 'WEBP')) preflightWebp(bytes);
  else if (starts(4, 'ftyp')) return preflightAvif(bytes);
  return {};
}

const ofJpeg = (jpeg: JpegFile): Preflight => ({ jpeg, checked: jpeg });
const ofGif = (gif: GifFile): Preflight => ({ checked: gif, frames: gif.frames, placed: gif.placed });

function ofTiff(tiff: TiffFile): Preflight {
  const { codedPixels, frames, heldBytes } = tiff;
  return { checked: tiff, codedPixels, frames, heldBytes, unlimited: true };
}
