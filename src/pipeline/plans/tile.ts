import type { Plan } from './index.js';
import { copyCore, cutWindow, type Span } from './window.js';

/**
 * Lays tiles of side `tile` along an axis of `length` pixels. The first and the last tile are flush with the borders, so
 * that the network sees the same border there as on the whole image. The others are spread evenly between them.
 * Neighbours meet in the middle of their overlap, at least `margin` away from both their edges.
 * An axis shorter than a tile gets one span, and the last pixel is repeated to fill it.
 */
export function layOut(length: number, tile: number, margin: number): Span[] {
  if (length <= tile) return [{ start: 0, from: 0, to: length }];
  // n tiles keep n·(tile − 2·margin) pixels. The two at the ends keep one margin more each.
  const count = Math.ceil((length - 2 * margin) / (tile - 2 * margin));
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * (length - tile)) / (count - 1)));
  const joint = (i: number) => Math.floor(((starts[i - 1] ?? 0) + tile + (starts[i] ?? 0)) / 2);
  return starts.map((start, i) => ({
    start,
    from: i === 0 ? 0 : joint(i),
    to: i === count - 1 ? length : joint(i + 1),
  }));
}

/** Limit of tiles of one picture in flight or waiting: more than any model takes, fewer than a picture may have. */
const WAITING = 256;

/** Fitted windows have sides that are multiples of this, which suits convolutions. */
const GRAIN = 8;

/**
 * The shortest side that needs no more windows along an axis of `length` than `tile` does.
 * @returns at most `tile`
 */
export function fittedSide(length: number, tile: number, margin: number): number {
  if (length <= tile) return length;
  const count = layOut(length, tile, margin).length;
  const side = Math.ceil((length - 2 * margin) / count) + 2 * margin;
  return Math.min(tile, Math.ceil(side / GRAIN) * GRAIN);
}

/**
 * Windows whose cores are stitched. They are fixed squares: the same few shapes for every image of every job. A model that
 * also permits `whole` takes any shape. It gets the same number of windows in the smallest equal size, which wastes fewer
 * pixels; then batches form among the windows of one image.
 */
export const tile: Plan = {
  shapes: ({ plans, tileSizes, margin }, { width, height }) =>
    tileSizes.map((side) => {
      const fitted = plans.includes('whole');
      const window = {
        width: fitted ? fittedSide(width, side, margin) : side,
        height: fitted ? fittedSide(height, side, margin) : side,
      };
      const [across, down] = [layOut(width, window.width, margin), layOut(height, window.height, margin)];
      return { plan: 'tile', ...window, requests: across.length * down.length, ownShape: fitted };
    }),

  useful: ({ width, height }) => width * height,

  async execute(raster, shape, { margin, scale }, channels, send) {
    const out = { width: raster.width * scale, height: raster.height * scale };
    const data = Buffer.allocUnsafe(out.width * out.height * channels);
    const columns = layOut(raster.width, shape.width, margin);
    const rows = layOut(raster.height, shape.height, margin);
    // All takers share one iterator, so that each window is taken once, and none after an error.
    const windows = rows.flatMap((down) => columns.map((across) => ({ across, down }))).values();
    const take = async () => {
      for (const { across, down } of windows) {
        await send(
          (window) => cutWindow(raster, across.start, down.start, window),
          (answer) => copyCore(answer.data, shape.width, across, down, scale, channels, data, out.width),
        );
      }
    };
    await Promise.all(Array.from({ length: WAITING }, take));
    return { ...out, channels, data };
  },
};
