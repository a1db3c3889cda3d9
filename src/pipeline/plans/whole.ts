import { copyCore, cutWindow } from './window.js';
import type { Plan } from './index.js';

/**
 * The image in one request. Alone it is sent as it is; where the model also permits tiles, and so knows how to live with
 * a border that is not the image's, it may be padded to the window of a bucket, by repeating its last row and column.
 */
export const whole: Plan = {
  shapes: ({ plans, maxWholePixels }, { width, height }) => {
    if (width * height > maxWholePixels) return [];
    const bucket = plans.includes('tile') ? { bucketPixels: maxWholePixels } : {};
    return [{ plan: 'whole', width, height, requests: 1, ...bucket }];
  },

  async execute(raster, _shape, { scale }, channels, send) {
    const out = { width: raster.width * scale, height: raster.height * scale };
    let data: Buffer | undefined;
    await send(
      (window) => cutWindow(raster, 0, 0, window),
      (answer, window) => {
        if (window.width === raster.width && window.height === raster.height) {
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
