import sharp, { type Sharp } from 'sharp';
import type { OutputRequest } from '../domain/job.js';
import type { Size } from '../domain/raster.js';
import { atOnce, type Codec, costOf, HEADER_MS, RESIZE_NS } from './codec.js';
import type { Format } from './formats/index.js';
import { carrierOf, type KeptMetadata, withDensity } from './metadata.js';

/** The pixels to write: a picture, or a mask as a picture of one channel. */
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
  /** EXIF, XMP and IPTC of the input, if the job keeps them. */
  readonly metadata?: KeptMetadata;
  /** Schedules each computation. By default each one runs at once. */
  readonly codec?: Codec;
}

/**
 * Encodes the pixels as a file of `format`, shrunk to `size`. It writes no profile, so the pixels are sRGB. If there is a
 * `background`, it flattens the picture onto it. The planner ensures one if the format has no alpha.
 */
export async function encode(pixels: Pixels, options: EncodeOptions): Promise<Encoded> {
  const { size, background, format, codec = atOnce } = options;
  const resized = size.width !== pixels.width || size.height !== pixels.height;
  let picture = sharp(pixels.data, raw(pixels, pixels.channels));
  if (pixels.alpha) {
    picture = picture.joinChannel(pixels.alpha, raw(pixels, 1));
    // sharp joins channels after all other operations. If another one must follow, the joined pixels are opened again. So
    // transparent pixels do not bleed their colour into the edge.
    if (resized || background !== undefined) picture = sharp(await joined(picture, pixels, codec), raw(pixels, 4));
    if (background !== undefined) picture = picture.flatten({ background });
  }
  if (resized) picture = picture.resize(size.width, size.height, { fit: 'fill' });
  if (pixels.channels === 1) picture = picture.toColourspace('b-w');
  if (options.metadata) picture = await withMetadata(options.metadata, picture, size, codec);
  const file = format.encode(picture, options.quality);
  const costMs = costOf(size, format.encoderNs) + (resized ? costOf(pixels, RESIZE_NS) : 0);
  const { data, info } = await codec(costMs, () => file.toBuffer({ resolveWithObject: true }));
  const bytes = withDensity(data, options.metadata?.density);
  return { bytes, width: info.width, height: info.height };
}

function joined(picture: Sharp, pixels: Pixels, codec: Codec): Promise<Buffer> {
  return codec(costOf(pixels, RESIZE_NS), () => picture.raw().toBuffer());
}

/** Puts the pixels over a black picture that has the metadata, with a bitwise OR. */
async function withMetadata(metadata: KeptMetadata, picture: Sharp, size: Size, codec: Codec): Promise<Sharp> {
  const plain = picture.raw();
  const { data, info } = await codec(costOf(size, RESIZE_NS), () => plain.toBuffer({ resolveWithObject: true }));
  const { width, height, channels } = info;
  const carrier = await codec(HEADER_MS, () => carrierOf(metadata, channels === 4));
  const carried = sharp(carrier)
    .resize(width, height, { fit: 'fill', kernel: 'nearest' })
    .boolean(data, 'or', raw(info, channels))
    .keepMetadata();
  return channels === 1 ? carried.toColourspace('b-w') : carried;
}

function raw(size: Size, channels: 1 | 2 | 3 | 4) {
  return { raw: { width: size.width, height: size.height, channels } };
}
