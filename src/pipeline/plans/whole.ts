import { acquirePixels } from '../../domain/pixel-memory.js';
import { isSameSize } from '../../domain/raster.js';
import type { Plan } from './plan.js';
import { borderOf, copyCore, cutWindow, isExact } from './window.js';

/**
 * The image in one request, with the border that its model needs. It may be padded to a larger window, to join a padded
 * group, if the model sees no farther than its margin. A model declares that by permitting exact tiles too.
 */
export const whole: Plan = {
  shapes: (contract, { width, height }) => {
    const { maxWholePixels: runPixels } = contract;
    if (width * height > runPixels) return [];
    const border = borderOf(contract);
    const window = { width: width + border, height: height + border };
    return [{ plan: 'whole', ...window, requests: 1, ownShape: true, mayGrow: isExact(contract), runPixels }];
  },

  useful: ({ width, height }) => width * height,

  async execute(raster, _shape, contract, channels, send) {
    const { scale } = contract;
    const out = { width: raster.width * scale, height: raster.height * scale };
    let data: Buffer | undefined;
    await send(
      (window) => cutWindow(raster, 0, 0, window, borderOf(contract)),
      (answer, window) => {
        if (isSameSize(window, raster)) {
          data = answer.data;
          return;
        }
        data = acquirePixels(out.width * out.height * channels);
        const across = { start: 0, from: 0, to: raster.width };
        const down = { start: 0, from: 0, to: raster.height };
        copyCore(answer.data, window.width, across, down, scale, channels, data, out.width);
      },
    );
    if (!data) throw new TypeError('send settled without an answer');
    return { ...out, channels, data };
  },
};
