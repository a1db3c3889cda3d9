/** Pictures to measure with. */
import { randomFillSync } from 'node:crypto';
import sharp from 'sharp';
import type { Size } from '../../domain/raster.js';
import { UsageError } from '../usage.js';

/** Longest side that a JPEG may have, in pixels. */
const MOST_SIDE = 65_500;
/** Sides of a picture that is named by its megapixels alone. */
const ASPECT = 4 / 3;
/** The coarse part has one random value for this many pixels along each side. */
const GRAIN = 16;
/** Standard deviation of the fine part, in levels of 255. */
const FINE = 12;
const QUALITY = 80;

/**
 * Reads sizes: `1920x1080` in pixels, or `2` or `0.3MP` in megapixels, separated by commas.
 * @param maxPixels the worker's own limit
 * @returns each size once
 * @throws UsageError
 */
export function parseSizes(text: string, maxPixels: number): Size[] {
  const sizes = text.split(',').map((item) => {
    const size = parseSize(item.trim());
    if (!size || Math.max(size.width, size.height) > MOST_SIDE) {
      throw new UsageError(
        `--sizes: expected sizes such as 1920x1080 or 2.1MP, at most ${MOST_SIDE} pixels a side, given ${JSON.stringify(item)}`,
      );
    }
    if (size.width * size.height > maxPixels) {
      throw new UsageError(`--sizes: expected at most ${maxPixels} pixels (IMAGEN_MAX_INPUT_PIXELS), given ${item}`);
    }
    return size;
  });
  return [...new Map(sizes.map((size) => [`${size.width}x${size.height}`, size])).values()];
}

function parseSize(text: string): Size | undefined {
  const sides = /^([1-9]\d*)x([1-9]\d*)$/i.exec(text);
  if (sides) return { width: Number(sides[1]), height: Number(sides[2]) };
  const megapixels = Number(/^(\d*\.?\d+)(?:mp)?$/i.exec(text)?.[1]);
  if (!(megapixels > 0)) return undefined;
  const width = Math.max(1, Math.round(Math.sqrt(megapixels * 1e6 * ASPECT)));
  return { width, height: Math.max(1, Math.round(width / ASPECT)) };
}

/**
 * A random picture as a JPEG. Soft blotches and fine noise together make a file of about 0.2 bytes a pixel, as
 * photographs of this quality have: pure noise would cost the decoder several times as much.
 */
export async function randomPicture({ width, height }: Size): Promise<Buffer> {
  const [across, down] = [Math.ceil(width / GRAIN), Math.ceil(height / GRAIN)];
  const coarse = randomFillSync(Buffer.allocUnsafe(across * down * 3));
  const fine = await sharp({
    create: {
      ...{ width, height, channels: 3, background: '#808080' },
      noise: { type: 'gaussian', mean: 128, sigma: FINE },
    },
  })
    .raw()
    .toBuffer();
  return sharp(coarse, { raw: { width: across, height: down, channels: 3 } })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .composite([{ input: fine, raw: { width, height, channels: 3 }, blend: 'overlay' }])
    .jpeg({ quality: QUALITY })
    .toBuffer();
}
