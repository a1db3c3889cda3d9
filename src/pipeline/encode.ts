import sharp, { type Sharp } from 'sharp';
import type { OutputRequest } from '../domain/job.js';
import type { Size } from '../domain/raster.js';
import { partAlpha } from './alpha.js';
import { atOnce, type Codec, costOf, HEADER_MS, RESIZE_NS } from './codec.js';
import type { Format } from './formats/format.js';
import type { TurboJpeg } from './jpeg/turbo.js';
import { clearHidden, extendColours } from './hidden-colours.js';
import { carrierOf, isAnyKept, type KeptMetadata, withDensity } from './metadata.js';

/** The pixels to write: a picture, or a mask as a picture of one channel. */
export interface Pixels extends Size {
  readonly channels: 1 | 3;
  readonly data: Buffer;
  readonly alpha?: Buffer;
  /** Whether red, green and blue are equal in every visible pixel. Then one channel is written if the format can. */
  readonly grey?: boolean;
}

export interface Encoded extends Size {
  readonly bytes: Buffer;
}

export interface EncodeOptions extends Pick<OutputRequest, 'quality' | 'background' | 'keepHidden'> {
  readonly format: Format;
  readonly size: Size;
  /** EXIF, XMP and IPTC of the input, if the job keeps them. */
  readonly metadata?: KeptMetadata;
  /** Schedules each computation. By default each one runs at once. */
  readonly codec?: Codec;
  /** Encodes ordinary JPEGs. Without it, sharp encodes all of them, to the same bytes. */
  readonly turbo?: TurboJpeg | undefined;
}

/**
 * Encodes the pixels as a file of `format`, shrunk to `size`. It writes no profile, so the pixels are sRGB. If there is a
 * `background`, it flattens the picture onto it. The planner ensures one if the format has no alpha. Unless the job keeps
 * hidden colours, it removes them from `pixels`.
 */
export async function encode(pixels: Pixels, options: EncodeOptions): Promise<Encoded> {
  const { size, background, format, codec = atOnce } = options;
  const resized = size.width !== pixels.width || size.height !== pixels.height;
  const isGrey = pixels.grey && (!pixels.alpha || background === undefined || isGreyColour(background));
  const kept = options.metadata && isAnyKept(options.metadata) ? options.metadata : undefined;
  if (!resized && !isGrey && !kept && !pixels.alpha && pixels.channels === 3) {
    const bytes = await fromRgb(pixels, options);
    if (bytes) return { bytes, width: size.width, height: size.height };
  }
  let picture = sharp(pixels.data, raw(pixels, pixels.channels));
  if (pixels.alpha) {
    // Flattening and shrinking weigh each colour by its alpha, so none remains of what is hidden.
    if (!options.keepHidden && !resized && background === undefined)
      await removeHidden(pixels.data, pixels.alpha, pixels, format);
    picture = picture.joinChannel(pixels.alpha, raw(pixels, 1));
    // sharp joins channels after all other operations. If another one must follow, the joined pixels are opened again. So
    // transparent pixels do not bleed their colour into the edge.
    if (resized || isGrey || background !== undefined)
      picture = sharp(await joined(picture, pixels, codec), raw(pixels, 4));
    if (background !== undefined) picture = picture.flatten({ background });
  }
  if (resized) picture = picture.resize(size.width, size.height, { fit: 'fill' });
  if (resized && pixels.alpha && !options.keepHidden && background === undefined && !format.lossless)
    picture = await withColoursExtended(picture, size, codec);
  if (pixels.channels === 1) picture = picture.toColourspace('b-w');
  if (kept) picture = await withMetadata(kept, picture, size, codec);
  if (isGrey) picture = picture.toColourspace('b-w');
  const file = format.encode(picture, options.quality, options.keepHidden);
  const costMs = costOf(size, format.encoderNs) + (resized ? costOf(pixels, RESIZE_NS) : 0);
  const { data, info } = await codec(costMs, () => file.toBuffer({ resolveWithObject: true }));
  const bytes = withDensity(data, options.metadata?.density);
  return { bytes, width: info.width, height: info.height };
}

/** @returns undefined where sharp has to encode the pixels */
async function fromRgb(pixels: Pixels, options: EncodeOptions): Promise<Buffer | undefined> {
  const { quality, turbo, codec = atOnce } = options;
  const { fromRgb: write, encoderNs } = options.format;
  if (!turbo || !write) return undefined;
  return codec(costOf(pixels, encoderNs), () => write(turbo, pixels.data, pixels, quality));
}

/** Shrinking leaves black beneath alpha 0. @param picture becomes one of RGBA */
async function withColoursExtended(picture: Sharp, size: Size, codec: Codec): Promise<Sharp> {
  const { rgb, alpha } = await partAlpha(await codec(costOf(size, RESIZE_NS), () => picture.raw().toBuffer()));
  if (!alpha) return sharp(rgb, raw(size, 3)).ensureAlpha();
  await extendColours(rgb, alpha, size);
  const extended = sharp(rgb, raw(size, 3)).joinChannel(alpha, raw(size, 1));
  return sharp(await joined(extended, size, codec), raw(size, 4));
}

/**
 * Black beneath transparent pixels makes the smallest lossless file. In a lossy one it would darken the edge of what is
 * visible, so there the visible colours are extended.
 */
async function removeHidden(rgb: Buffer, alpha: Buffer, size: Size, { lossless }: Format): Promise<void> {
  if (lossless) await clearHidden(rgb, alpha);
  else await extendColours(rgb, alpha, size);
}

/** @param colour `#rrggbb` */
function isGreyColour(colour: string): boolean {
  const [, red, green, blue] = /^#(..)(..)(..)$/.exec(colour.toLowerCase()) ?? [];
  return red === green && green === blue;
}

function joined(picture: Sharp, pixels: Size, codec: Codec): Promise<Buffer> {
  return codec(costOf(pixels, RESIZE_NS), () => picture.raw().toBuffer());
}

/** Puts the pixels over a black picture that has the metadata, with a bitwise OR. */
async function withMetadata(metadata: KeptMetadata, picture: Sharp, size: Size, codec: Codec): Promise<Sharp> {
  const plain = picture.raw();
  const { data, info } = await codec(costOf(size, RESIZE_NS), () => plain.toBuffer({ resolveWithObject: true }));
  const { width, height, channels } = info;
  const carrier = await codec(HEADER_MS, () => carrierOf(metadata, channels === 4, size));
  const carried = sharp(carrier)
    .resize(width, height, { fit: 'fill', kernel: 'nearest' })
    .boolean(data, 'or', raw(info, channels));
  const { exif, iptc, density } = metadata;
  if (exif ?? iptc ?? density) {
    // libvips adds a colour space of "uncalibrated" to EXIF that states none.
    carried.keepMetadata().withExifMerge({ IFD2: { ColorSpace: '1' } });
  } else {
    carried.keepXmp(); // and write no EXIF where there was none
  }
  return channels === 1 ? carried.toColourspace('b-w') : carried;
}

function raw(size: Size, channels: 1 | 2 | 3 | 4) {
  return { raw: { width: size.width, height: size.height, channels } };
}
