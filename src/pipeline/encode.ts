import sharp, { type Sharp } from 'sharp';
import type { OutputRequest } from '../domain/job.js';
import type { Size } from '../domain/raster.js';
import type { Format } from './formats/index.js';

/** What is to be written: a picture, or a mask as a picture of one channel. */
export interface Pixels extends Size {
  readonly channels: 1 | 3;
  readonly data: Buffer;
  readonly alpha?: Buffer;
}

export interface Encoded extends Size {
  readonly bytes: Buffer;
}

export interface EncodeOptions extends Pick<OutputRequest, 'quality' | 'background'> {
  readonly format: Format;
  readonly size: Size;
  /** The original file, when its EXIF, XMP and IPTC are to be kept. */
  readonly metadataFrom?: Buffer;
}

/**
 * Writes the pixels as a file of `format`, shrunk to `size`. With a `background` it is flattened
 * onto that; the planner has made sure that there is one where the format has no alpha.
 */
export async function encode(pixels: Pixels, options: EncodeOptions): Promise<Encoded> {
  let picture = sharp(pixels.data, raw(pixels, pixels.channels));
  if (pixels.alpha) {
    // Joined before the resize, so that transparent pixels do not bleed their colour into the edge.
    const rgba = await picture.joinChannel(pixels.alpha, raw(pixels, 1)).raw().toBuffer();
    picture = sharp(rgba, raw(pixels, 4));
    if (options.background !== undefined) picture = picture.flatten({ background: options.background });
  }
  const { width, height } = options.size;
  if (width !== pixels.width || height !== pixels.height) picture = picture.resize(width, height, { fit: 'fill' });
  if (pixels.channels === 1) picture = picture.toColourspace('b-w');
  if (options.metadataFrom) picture = await withMetadataOf(options.metadataFrom, picture, options.size);
  const { data, info } = await options.format.encode(picture, options.quality).toBuffer({ resolveWithObject: true });
  return { bytes: data, width: info.width, height: info.height };
}

/**
 * sharp keeps the metadata of the file that a picture was opened from, so the original is opened again and every pixel
 * of it is replaced. The pixels are upright now, and say so.
 */
async function withMetadataOf(original: Buffer, picture: Sharp, size: Size): Promise<Sharp> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  const replaced = sharp(original, { autoOrient: true, pages: 1 })
    .resize(size.width, size.height, { fit: 'fill', kernel: 'nearest' })
    .toColourspace('srgb')
    .composite([
      { input: data, raw: { width: info.width, height: info.height, channels: info.channels }, blend: 'source' },
    ])
    .withMetadata({ orientation: 1 });
  return info.channels === 4 ? replaced : replaced.removeAlpha(); // composing has added one
}

function raw(size: Size, channels: 1 | 3 | 4) {
  return { raw: { width: size.width, height: size.height, channels } };
}
