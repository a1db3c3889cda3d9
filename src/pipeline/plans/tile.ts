import { acquirePixels } from '../../domain/pixel-memory.js';
import type { Plan } from './plan.js';
import { borderOf, copyCore, cutWindow, type Span } from './window.js';

/**
 * Lays tiles of side `tile` along an axis of `length` pixels and a border beyond them. The first and the last tile are
 * flush with the ends, so that the network sees the same there as on the whole image. The others are spread evenly
 * between them. Neighbours meet in the middle of their overlap, at least `margin` away from both their edges.
 * An axis shorter than a tile gets one span.
 * @param border pixels beyond the image that the last tile covers and that are not kept: 0 or `margin`
 */
export function layOut(kept: number, tile: number, margin: number, border = 0): Span[] {
  const length = kept + border;
  if (length <= tile) return [{ start: 0, from: 0, to: kept }];
  // n tiles keep n·(tile − 2·margin) pixels. The two at the ends keep one margin more each.
  const count = Math.ceil((length - 2 * margin) / (tile - 2 * margin));
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * (length - tile)) / (count - 1)));
  const joint = (i: number) => Math.floor(((starts[i - 1] ?? 0) + tile + (starts[i] ?? 0)) / 2);
  return starts.map((start, i) => ({
    start,
    from: i === 0 ? 0 : joint(i),
    to: i === count - 1 ? kept : joint(i + 1),
  }));
}

/** Limit of tiles of one picture in flight or waiting: more than any model takes, fewer than a picture may have. */
const WAITING = 256;

/** Fitted windows have sides that are multiples of this, which suits convolutions. */
const GRAIN = 8;

/**
 * The shortest side that needs no more windows along an axis than `tile` does.
 * @returns at most `tile`
 */
export function fittedSide(kept: number, tile: number, margin: number, border = 0): number {
  const length = kept + border;
  if (length <= tile) return length;
  const count = layOut(kept, tile, margin, border).length;
  const side = Math.ceil((length - 2 * margin) / count) + 2 * margin;
  return Math.min(tile, Math.ceil(side / GRAIN) * GRAIN);
}

/**
 * Windows whose cores are stitched. They are fixed squares: the same few shapes for every image of every job. A model that
 * also permits `whole` takes any shape. It gets the same number of windows in the smallest equal size, which wastes fewer
 * pixels; then batches form among the windows of one image.
 */
export const tile: Plan = {
  shapes: (contract, { width, height }) =>
    contract.tileSizes.map((side) => {
      const { plans, margin } = contract;
      const border = borderOf(contract);
      const fitted = plans.includes('whole');
      const window = {
        width: fitted ? fittedSide(width, side, margin, border) : side,
        height: fitted ? fittedSide(height, side, margin, border) : side,
      };
      const across = layOut(width, window.width, margin, border).length;
      const down = layOut(height, window.height, margin, border).length;
      return { plan: 'tile', ...window, requests: across * down, ownShape: fitted };
    }),

  useful: ({ width, height }) => width * height,

  async execute(raster, shape, contract, channels, send) {
    const { margin, scale } = contract;
    const border = borderOf(contract);
    const out = { width: raster.width * scale, height: raster.height * scale };
    const data = acquirePixels(out.width * out.height * channels);
    const columns = layOut(raster.width, shape.width, margin, border);
    const rows = layOut(raster.height, shape.height, margin, border);
    // All takers share one iterator, so that each window is taken once, and none after an error.
    const windows = rows.flatMap((down) => columns.map((across) => ({ across, down }))).values();
    const take = async () => {
      for (const { across, down } of windows) {
        await send(
          (window) => cutWindow(raster, across.start, down.start, window, border),
          (answer) => copyCore(answer.data, shape.width, across, down, scale, channels, data, out.width),
        );
      }
    };
    await Promise.all(Array.from({ length: WAITING }, take));
    return { ...out, channels, data };
  },
};
