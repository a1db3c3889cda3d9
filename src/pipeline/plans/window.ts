/** Cuts windows out of an image for the model, and copies the answers to their places. */
import { isSameSize, type Raster, type Size } from '../../domain/raster.js';
import type { View } from './index.js';

/** One axis of a window: where it starts, and which part of it is kept, in pixels of the image. */
export interface Span {
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Cuts the window of the image with its upper left corner at (x, y). Beyond the image it repeats the last row and column.
 * If the window is the whole image, it returns the image's own pixels and makes no copy.
 */
export function cutWindow(image: Raster, x: number, y: number, window: Size): View {
  const { width, height } = window;
  if (isSameSize(window, image)) return { x, y, width, height, rgb: image.rgb };
  const rgb = Buffer.allocUnsafe(width * height * 3);
  const inside = Math.min(width, image.width - x);
  const rows = Math.min(height, image.height - y);
  const stride = width * 3;
  for (let row = 0; row < rows; row++) {
    const source = ((y + row) * image.width + x) * 3;
    const target = row * stride;
    image.rgb.copy(rgb, target, source, source + inside * 3);
    // Filling with the last pixel repeats it.
    if (inside < width)
      rgb.fill(rgb.subarray(target + (inside - 1) * 3, target + inside * 3), target + inside * 3, target + stride);
  }
  for (let row = rows; row < height; row++) rgb.copy(rgb, row * stride, (rows - 1) * stride, rows * stride);
  return { x, y, width, height, rgb };
}

/**
 * Copies the kept part of a window's answer to its place in the result, row by row.
 * @param answer `scale` times the window's size, `channels` bytes per pixel
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
}
