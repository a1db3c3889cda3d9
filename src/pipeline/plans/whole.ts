import type { Plan } from './index.js';

/** The image as it is: nothing computed twice, but a batch forms only among images of equal size. */
export const whole: Plan = {
  shapes: (contract, { width, height }) =>
    width * height <= contract.maxWholePixels ? [{ plan: 'whole', width, height, requests: 1 }] : [],

  async execute({ width, height, rgb }, _shape, { scale }, channels, send) {
    let data: Buffer | undefined;
    await send(
      () => ({ x: 0, y: 0, width, height, rgb }),
      (answer) => (data = answer.data),
    );
    if (!data) throw new TypeError('send settled without an answer');
    return { width: width * scale, height: height * scale, channels, data };
  },
};
