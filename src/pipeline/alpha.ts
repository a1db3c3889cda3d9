/** Takes the alpha of decoded pixels apart from their colours. */
import type { Raster } from '../domain/raster.js';
import { inTurns } from './turns.js';

/** Splits RGBA in place: moves the colours together, and returns the alpha unless every pixel is opaque. */
export async function partAlpha(rgba: Buffer): Promise<{ readonly rgb: Buffer; readonly alpha?: Buffer }> {
  const pixels = rgba.length / 4;
  const alpha = Buffer.allocUnsafe(pixels);
  let least = 255;
  await inTurns(pixels, 1, (from, to) => {
    for (let i = from; i < to; i++) {
      const value = rgba[i * 4 + 3] ?? 0;
      alpha[i] = value;
      if (value < least) least = value;
      rgba[i * 3] = rgba[i * 4] ?? 0;
      rgba[i * 3 + 1] = rgba[i * 4 + 1] ?? 0;
      rgba[i * 3 + 2] = rgba[i * 4 + 2] ?? 0;
    }
  });
  return { rgb: rgba.subarray(0, pixels * 3), ...(least === 255 ? {} : { alpha }) };
}

/** Undoes the multiplication of colours by alpha, in place. What is below alpha 0 is unknown and stays black. */
export async function divideByAlpha({ rgb, alpha }: Raster): Promise<void> {
  if (!alpha) return;
  await inTurns(alpha.length, 1, (from, to) => {
    for (let i = from; i < to; i++) {
      const value = alpha[i] ?? 0;
      if (value === 0 || value === 255) continue;
      for (let at = i * 3; at < i * 3 + 3; at++) rgb[at] = Math.min(255, Math.round(((rgb[at] ?? 0) * 255) / value));
    }
  });
}
