import sharp from 'sharp';
import { JobError } from '../domain/errors.js';
import type { OutputFormat } from '../domain/job.js';
import type { Raster } from '../domain/raster.js';

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

const FORMATS: Readonly<Record<string, OutputFormat>> = { jpeg: 'jpeg', png: 'png', webp: 'webp', heif: 'avif' };

export interface Decoded {
  readonly raster: Raster;
  readonly format: OutputFormat;
  /** What the picture had and the raster has not. */
  readonly warnings: readonly string[];
}

export interface Header {
  readonly width: number;
  readonly height: number;
  readonly format: OutputFormat;
}

/**
 * Turns an encoded picture into upright 8-bit sRGB: EXIF orientation applied, embedded profiles converted, CMYK and
 * grey expanded, 16 bits rounded to 8, the first frame of an animation taken, alpha kept apart.
 * The pixel limit is checked from the header, before anything is decoded.
 * @throws JobError `UNSUPPORTED_FORMAT`, `INPUT_CORRUPT`, `INPUT_TOO_MANY_PIXELS`
 */
export async function decode(bytes: Buffer, options: { readonly maxPixels: number }): Promise<Decoded> {
  const { metadata, format } = await readHeader(bytes, options.maxPixels);
  const warnings: string[] = [];
  const frames = metadata.pages ?? 1;
  if (frames > 1) warnings.push(`only the first of ${frames} frames was used`);
  if (metadata.depth !== 'uchar') warnings.push('more than 8 bits per channel were reduced to 8');

  const upright = open(bytes).autoOrient().toColourspace('srgb');
  const { data, info } = await guard(
    (metadata.hasAlpha ? upright.ensureAlpha() : upright.removeAlpha()).raw().toBuffer({ resolveWithObject: true }),
  );
  const { width, height } = info;
  if (info.channels === 3) return { raster: { width, height, rgb: data }, format, warnings };
  if (info.channels !== 4) throw new JobError('INPUT_CORRUPT', `expected 3 or 4 channels, decoded ${info.channels}`);

  const raw = { raw: { width, height, channels: 4 as const } };
  const [rgb, alpha] = await Promise.all([
    sharp(data, raw).removeAlpha().raw().toBuffer(),
    sharp(data, raw).extractChannel('alpha').raw().toBuffer(),
  ]);
  return { raster: { width, height, rgb, ...(isOpaque(alpha) ? {} : { alpha }) }, format, warnings };
}

async function readHeader(bytes: Buffer, maxPixels: number) {
  const metadata = await guard(open(bytes).metadata());
  const format = FORMATS[metadata.format];
  if (!format || (format === 'avif' && metadata.compression !== 'av1')) {
    throw new JobError('UNSUPPORTED_FORMAT', `expected JPEG, PNG, WebP or AVIF, given ${metadata.format}`);
  }
  const pixels = metadata.width * metadata.height;
  if (pixels > maxPixels) {
    throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${maxPixels} pixels, given ${pixels}`);
  }
  return { metadata, format };
}

function open(bytes: Buffer) {
  // The limit is ours to check, with its own code; libvips' stays as the second lock.
  return sharp(bytes, { failOn: 'warning', pages: 1, limitInputChannels: 5 });
}

/** sharp says in words what is wrong; a picture can be wrong in two ways. */
async function guard<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (/unsupported image format/i.test(message)) {
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

function isOpaque(alpha: Buffer): boolean {
  return alpha.every((value) => value === 255);
}
