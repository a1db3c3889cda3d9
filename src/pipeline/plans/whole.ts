import { isSameSize } from '../../domain/raster.js';
import { copyCore, cutWindow } from './window.js';
import type { Plan } from './index.js';

/** Difference that rounding alone can make, in levels of 255. */
const EXACT = 1;

/**
 * The image in one request. An image alone is sent as it is. In a bucket it may be padded to the window, by repeating its
 * last row and column, if the model sees no farther than its margin. A model declares that by permitting exact tiles too.
 */
export const whole: Plan = {
  shapes: ({ plans, maxWholePixels, seamTolerance }, { width, height }) => {
    if (width * height > maxWholePixels) return [];
    const mayGrow = plans.includes('tile') && seamTolerance <= EXACT;
    return [{ plan: 'whole', width, height, requests: 1, ownShape: true, mayGrow, runPixels: maxWholePixels }];
  },

  useful: ({ width, height }) => width * height,

  async execute(raster, _shape, { scale }, channels, send) {
    const out = { width: raster.width * scale, height: raster.height * scale };
    let data: Buffer | undefined;
    await send(
      (window) => cutWindow(raster, 0, 0, window),
      (answer, window) => {
        if (isSameSize(window, raster)) {
          data = answer.data;
          return;
        }
        data = Buffer.allocUnsafe(out.width * out.height * channels);
        const across = { start: 0, from: 0, to: raster.width };
        const down = { start: 0, from: 0, to: raster.height };
        copyCore(answer.data, window.width, across, down, scale, channels, data, out.width);
      },
    );
    if (!data) throw new TypeError('send settled without an answer');
    return { ...out, channels, data };
  },
};
