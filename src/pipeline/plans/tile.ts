import type { Plan } from './index.js';
import { copyCore, cutWindow, type Span } from './window.js';

/**
 * Lays tiles of side `tile` along an axis of `length` pixels. The first and the last are flush with the borders, so the
 * network sees there the same border that it would see on the whole image; the others are spread evenly between, and
 * neighbours meet in the middle of their overlap, at least `margin` away from both their edges.
 * An axis shorter than a tile gets one span; the missing pixels are made up by repeating the last one.
 */
export function layOut(length: number, tile: number, margin: number): Span[] {
  if (length <= tile) return [{ start: 0, from: 0, to: length }];
  // n tiles keep n·(tile − 2·margin) pixels, and the two at the ends a margin more each.
  const count = Math.ceil((length - 2 * margin) / (tile - 2 * margin));
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * (length - tile)) / (count - 1)));
  const joint = (i: number) => Math.floor(((starts[i - 1] ?? 0) + tile + (starts[i] ?? 0)) / 2);
  return starts.map((start, i) => ({
    start,
    from: i === 0 ? 0 : joint(i),
    to: i === count - 1 ? length : joint(i + 1),
  }));
}

/** Tiles of one picture that are in flight or wait for it: more than any model takes, less than a picture may have. */
const WAITING = 256;

/** Fixed square windows whose cores are stitched: the same few shapes for every image of every job. */
export const tile: Plan = {
  shapes: (contract, { width, height }) =>
    contract.tileSizes.map((side) => ({
      plan: 'tile',
      width: side,
      height: side,
      requests: layOut(width, side, contract.margin).length * layOut(height, side, contract.margin).length,
    })),

  async execute(raster, shape, { margin, scale }, channels, send) {
    const side = shape.width;
    const out = { width: raster.width * scale, height: raster.height * scale };
    const data = Buffer.allocUnsafe(out.width * out.height * channels);
    const columns = layOut(raster.width, side, margin);
    const rows = layOut(raster.height, side, margin);
    // All takers share one row of windows, so that each is taken once, and none any more after an error.
    const windows = rows.flatMap((down) => columns.map((across) => ({ across, down }))).values();
    const take = async () => {
      for (const { across, down } of windows) {
        await send(
          (window) => cutWindow(raster, across.start, down.start, window),
          (answer) => copyCore(answer.data, side, across, down, scale, channels, data, out.width),
        );
      }
    };
    await Promise.all(Array.from({ length: WAITING }, take));
    return { ...out, channels, data };
  },
};
