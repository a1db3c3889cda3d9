/** Cuts windows out of an image for the model, and copies the answers to their places. */
import type { VersionContract } from '../../domain/contract.js';
import { acquirePixels, releasePixels } from '../../domain/pixel-memory.js';
import { isSameSize, type Raster, type Size } from '../../domain/raster.js';
import type { View } from './plan.js';

/** One axis of a window: where it starts, and which part of it is kept, in pixels of the image. */
export interface Span {
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

/** Difference that rounding alone can make, in levels of 255. */
const EXACT = 1;

/**
 * Whether a picture comes out the same in any window: whole or in tiles, of any size, alone or padded. The network then
 * sees no farther than its margin.
 */
export function isExact({ plans, seamTolerance }: VersionContract): boolean {
  return plans.includes('tile') && seamTolerance <= EXACT;
}

/**
 * Pixels that every window has beyond the right and the lower border of a picture. With a whole margin of them, the
 * network sees the same pixels there in any window. On the left and at the top every window ends with the picture.
 */
export function borderOf(contract: VersionContract): number {
  return isExact(contract) && contract.border === 'pad' ? contract.margin : 0;
}

/**
 * Cuts the window of the image with its upper left corner at (x, y). Beyond the image it mirrors `border` pixels and then
 * repeats the last row and column. If the window is the whole image, it returns the image's own pixels and makes no copy.
 */
export function cutWindow(image: Raster, x: number, y: number, window: Size, border: number): View {
  const { width, height } = window;
  if (x === 0 && y === 0 && isSameSize(window, image)) return { x, y, width, height, rgb: image.rgb };
  const rgb = acquirePixels(width * height * 3);
  const inside = Math.min(width, image.width - x);
  const beyond = Array.from({ length: width - inside }, (_, i) => continued(x + inside + i, image.width, border));
  const stride = width * 3;
  for (let row = 0; row < height; row++) {
    const line = continued(y + row, image.height, border) * image.width;
    let target = row * stride;
    image.rgb.copy(rgb, target, (line + x) * 3, (line + x + inside) * 3);
    target += inside * 3;
    for (const column of beyond) {
      const source = (line + column) * 3;
      rgb[target++] = image.rgb[source] ?? 0;
      rgb[target++] = image.rgb[source + 1] ?? 0;
      rgb[target++] = image.rgb[source + 2] ?? 0;
    }
  }
  return { x, y, width, height, rgb };
}

/** The row or column of an image that is shown at a position, which may be beyond its end. */
function continued(position: number, length: number, border: number): number {
  const within = Math.min(position, length + border - 1) % (2 * length);
  return within < length ? within : 2 * length - 1 - within;
}

/**
 * Copies the kept part of a window's answer to its place in the result, row by row.
 * @param answer `scale` times the window's size, `channels` bytes per pixel; this function releases its memory
 * @param windowWidth in pixels of the image
 * @param targetWidth in pixels of the result
 */
export function copyCore(
  answer: Buffer,
  windowWidth: number,
  across: Span,
  down: Span,
  scale: number,
  channels: number,
  target: Buffer,
  targetWidth: number,
): void {
  const bytes = (across.to - across.from) * scale * channels;
  for (let y = down.from * scale; y < down.to * scale; y++) {
    const source = ((y - down.start * scale) * windowWidth + across.from - across.start) * scale * channels;
    answer.copy(target, (y * targetWidth + across.from * scale) * channels, source, source + bytes);
  }
  releasePixels(answer);
}
