import sharp, { type Metadata, type Sharp } from 'sharp';
import { JobError } from '../domain/errors.js';
import type { OutputFormat } from '../domain/job.js';
import type { Raster } from '../domain/raster.js';
import { atOnce, type Codec, costOf, HEADER_MS, isShortage } from './codec.js';
import { lossesOf } from './losses.js';
import type { KeptMetadata } from './metadata.js';
import { isUsable } from './profile.js';
import { preflight } from './preflight/index.js';

// Hostile bytes choose their own decoder, so only those stay that the README promises. AVIF comes through the HEIF
// loader, which in sharp's own build knows no other codec.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpegBuffer',
    'VipsForeignLoadPngBuffer',
    'VipsForeignLoadWebpBuffer',
    'VipsForeignLoadHeifBuffer',
  ],
});
// No picture comes twice; and one thread a picture, because many pictures are in work at once.
sharp.cache(false);
sharp.concurrency(1);

/**
 * Pixels decoded for one that is shown: its colours, its transparency, and something for what is cut off. The cells of a
 * small grid reach beyond it by up to four times.
 */
const MOST_CODED = 3;
const SPARE_PIXELS = 2_000_000;

/** Time that a decoder takes, in nanoseconds a pixel of one processor; measured. */
const DECODER_NS: Readonly<Record<OutputFormat, number>> = { jpeg: 8, png: 12, webp: 25, avif: 45 };

const FORMATS: Readonly<Record<string, OutputFormat>> = { jpeg: 'jpeg', png: 'png', webp: 'webp', heif: 'avif' };

export interface Decoded {
  readonly raster: Raster;
  readonly format: OutputFormat;
  /** What the picture had and the raster has not. */
  readonly warnings: readonly string[];
  /** As they stand in the file. */
  readonly metadata: KeptMetadata;
}

/** What the file says of itself, before anything is decoded. */
export interface Header {
  readonly width: number;
  readonly height: number;
  readonly format: OutputFormat;
  readonly hasAlpha: boolean;
  /** By its EXIF orientation. */
  readonly turned: boolean;
  readonly progressive: boolean;
  /** More than 8 bits a channel. */
  readonly deep: boolean;
}

export interface DecodeOptions {
  readonly maxPixels: number;
  /**
   * Whole seconds, 120 unless given. libvips looks at its clock when rows come out: a decoder that makes the whole
   * picture at once is stopped after that, and has a bound in the limits alone.
   */
  readonly maxSeconds?: number;
  /** Waited for when the header has been read and the limit kept. */
  readonly admit?: (header: Header) => Promise<void>;
  /** Where each computation has its turn; at once unless given. */
  readonly codec?: Codec;
}

/**
 * Turns an encoded picture into upright 8-bit sRGB: EXIF orientation applied, embedded profiles converted, CMYK and
 * grey expanded, 16 bits rounded to 8, the first frame of an animation taken, alpha kept apart.
 * The limits are checked from the structure and the header, before anything is decoded.
 * @throws JobError `UNSUPPORTED_FORMAT`, `INPUT_CORRUPT`, `INPUT_TOO_MANY_PIXELS`, `INPUT_TOO_LARGE`,
 *   `EXECUTION_TIMEOUT`
 */
export async function decode(bytes: Buffer, options: DecodeOptions): Promise<Decoded> {
  const { maxPixels, maxSeconds = 120, admit, codec = atOnce } = options;
  const { metadata, format } = await readHeader(bytes, maxPixels, codec);
  const { width, height, hasAlpha, orientation = 1, isProgressive: progressive, depth } = metadata;
  await admit?.({ width, height, format, hasAlpha, progressive, turned: orientation > 1, deep: depth !== 'uchar' });
  const costMs = costOf(metadata, DECODER_NS[format]);
  const pixels = await codec(costMs, () => guard(() => readPixels(bytes, metadata, maxSeconds)));
  const raster = await rasterOf(pixels);
  const { exif, xmp, iptc } = metadata;
  return { raster, format, warnings: lossesOf(bytes, metadata), metadata: { exif, xmp, iptc } };
}

/** @throws JobError `EXECUTION_TIMEOUT` */
async function readPixels(bytes: Buffer, metadata: Metadata, maxSeconds: number) {
  const { icc, space, hasAlpha } = metadata;
  const profile = icc !== undefined && isUsable(icc, space) ? icc : undefined;
  const upright = toSrgb(open(bytes, { ignoreIcc: !profile }).autoOrient(), space, profile);
  const startedAt = performance.now();
  try {
    return await (hasAlpha ? upright.ensureAlpha() : upright.removeAlpha())
      .raw()
      .timeout({ seconds: maxSeconds })
      .toBuffer({ resolveWithObject: true });
  } catch (cause) {
    // What libvips says of it depends on the format.
    if (performance.now() - startedAt < maxSeconds * 1000) throw cause;
    throw new JobError('EXECUTION_TIMEOUT', `decoding took longer than ${maxSeconds} s`, { cause, stage: 'decode' });
  }
}

async function rasterOf({
  data,
  info: { width, height, channels },
}: Awaited<ReturnType<typeof readPixels>>): Promise<Raster> {
  if (channels === 3) return { width, height, rgb: data };
  if (channels !== 4) throw new JobError('INPUT_CORRUPT', `expected 3 or 4 channels, decoded ${channels}`);

  return { width, height, ...(await partAlpha(data)) };
}

/**
 * sharp converts an embedded profile by itself, with two exceptions: it takes 16-bit colours to Display P3 and leaves
 * them there, and the profile of a 16-bit grey it does not look at.
 */
function toSrgb(picture: Sharp, space: string, profile: Buffer | undefined): Sharp {
  const srgb = picture.toColourspace('srgb');
  if (profile && space === 'rgb16') return srgb.withIccProfile('srgb');
  if (profile && space === 'grey16') return srgb.pipelineColourspace('b-w');
  return srgb;
}

async function readHeader(bytes: Buffer, maxPixels: number, codec: Codec) {
  const { codedPixels = 0 } = preflight(bytes);
  const metadata = await codec(HEADER_MS, () => guard(() => open(bytes).metadata()));
  const format = FORMATS[metadata.format];
  if (!format || (format === 'avif' && metadata.compression !== 'av1')) {
    throw new JobError('UNSUPPORTED_FORMAT', `expected JPEG, PNG, WebP or AVIF, given ${metadata.format}`);
  }
  const pixels = metadata.width * metadata.height;
  if (pixels > maxPixels) {
    throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${maxPixels} pixels, given ${pixels}`);
  }
  if (codedPixels > pixels * MOST_CODED + SPARE_PIXELS) {
    throw new JobError('INPUT_TOO_MANY_PIXELS', `a picture of ${pixels} pixels holds ${codedPixels} to be decoded`);
  }
  return { metadata, format };
}

function open(bytes: Buffer, options: { readonly ignoreIcc?: boolean } = {}): Sharp {
  // The limit is ours to check, with its own code; libvips' stays as the second lock.
  return sharp(bytes, { failOn: 'warning', pages: 1, limitInputChannels: 5, ...options });
}

/** sharp says in words what is wrong; a picture can be wrong in three ways. What the machine lacks is not its fault. */
async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof JobError || isShortage(cause)) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    if (/unsupported image format|buffer is empty/i.test(message)) {
      throw new JobError('UNSUPPORTED_FORMAT', 'expected JPEG, PNG, WebP or AVIF', { cause });
    }
    if (/exceeds pixel limit/i.test(message)) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', message, { cause });
    }
    throw new JobError('INPUT_CORRUPT', firstLine(message), { cause });
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

/** Pixels between two pauses for the event loop, in which leases and health checks have their turn. */
const PIXELS_A_TURN = 500_000;

/** Moves the colours of RGBA together, in its own memory, and gives the alpha that stood between them, if it hides any. */
async function partAlpha(rgba: Buffer): Promise<{ readonly rgb: Buffer; readonly alpha?: Buffer }> {
  const pixels = rgba.length / 4;
  const alpha = Buffer.allocUnsafe(pixels);
  let opaque = true;
  for (let from = 0; from < pixels; from += PIXELS_A_TURN) {
    const to = Math.min(pixels, from + PIXELS_A_TURN);
    for (let i = from; i < to; i++) {
      const value = rgba[i * 4 + 3] ?? 0;
      alpha[i] = value;
      opaque &&= value === 255;
      rgba[i * 3] = rgba[i * 4] ?? 0;
      rgba[i * 3 + 1] = rgba[i * 4 + 1] ?? 0;
      rgba[i * 3 + 2] = rgba[i * 4 + 2] ?? 0;
    }
    if (to < pixels) await new Promise((resume) => setImmediate(resume));
  }
  return { rgb: rgba.subarray(0, pixels * 3), ...(opaque ? {} : { alpha }) };
}
