/** Colours beneath transparent pixels. Nobody sees them, but networks, filters and whoever opens the file can. */
import type { Raster, Size } from '../domain/raster.js';
import { inTurns } from './turns.js';

/** Colours and weights of a picture, or of a smaller copy of it. */
interface Level extends Size {
  /** Three bytes a pixel. */
  readonly rgb: Uint8Array;
  /** One byte a pixel: how much it counts. 0 if its colour is not known. */
  readonly weights: Uint8Array;
}

/**
 * Replaces the colours of all pixels of weight 0 by colours of their surroundings, in place. Others stay as they are. If
 * all have weight 0, they become black. It averages the known colours in ever smaller copies of the picture, and fills
 * what is unknown in each from the next smaller one. The copies take 4/3 bytes per pixel.
 * @param rgb three bytes per pixel
 * @param weights one byte per pixel, such as the alpha
 */
export async function extendColours(rgb: Buffer, weights: Buffer, { width, height }: Size): Promise<void> {
  const levels: Level[] = [{ rgb, weights, width, height }];
  for (;;) {
    const last = levels.at(-1);
    if (!last || (last.width === 1 && last.height === 1)) break;
    levels.push(await halved(last));
  }
  const smallest = levels.at(-1);
  if (smallest?.weights[0] === 0) smallest.rgb.fill(0);
  for (let i = levels.length - 2; i >= 0; i--) {
    const [level, smaller] = [levels[i], levels[i + 1]];
    if (level && smaller) await fill(level, smaller);
  }
}

/** Each pixel is the weighted mean of up to four. */
async function halved({ rgb, weights, width, height }: Level): Promise<Level> {
  const small = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
  const pixels = small.width * small.height;
  const level = { ...small, rgb: new Uint8Array(pixels * 3), weights: new Uint8Array(pixels) };
  await inTurns(small.height, small.width * 4, (from, to) => {
    for (let y = from; y < to; y++) {
      for (let x = 0; x < small.width; x++) {
        let [weight, r, g, b] = [0, 0, 0, 0];
        for (let v = 2 * y; v < Math.min(height, 2 * y + 2); v++) {
          for (let u = 2 * x; u < Math.min(width, 2 * x + 2); u++) {
            const i = v * width + u;
            const one = weights[i] ?? 0;
            if (one === 0) continue;
            weight += one;
            r += one * (rgb[i * 3] ?? 0);
            g += one * (rgb[i * 3 + 1] ?? 0);
            b += one * (rgb[i * 3 + 2] ?? 0);
          }
        }
        if (weight === 0) continue;
        const i = y * small.width + x;
        level.weights[i] = Math.ceil(weight / 4);
        level.rgb[i * 3] = r / weight + 0.5;
        level.rgb[i * 3 + 1] = g / weight + 0.5;
        level.rgb[i * 3 + 2] = b / weight + 0.5;
      }
    }
  });
  return level;
}

/** Gives the pixels of weight 0 the colours of a smaller copy, all of whose colours are known, interpolated bilinearly. */
async function fill({ rgb, weights, width, height }: Level, small: Level): Promise<void> {
  await inTurns(height, width, (from, to) => {
    for (let y = from; y < to; y++) {
      // Half a pixel of this level is a quarter of the smaller one, so each of the two nearest weighs ¾ or ¼.
      const near = (y >> 1) * small.width;
      const far = clamp((y >> 1) + (y & 1 ? 1 : -1), small.height) * small.width;
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        if (weights[i] !== 0) continue;
        const left = x >> 1;
        const right = clamp(left + (x & 1 ? 1 : -1), small.width);
        for (let c = 0; c < 3; c++) {
          const inner = 3 * (small.rgb[(near + left) * 3 + c] ?? 0) + (small.rgb[(near + right) * 3 + c] ?? 0);
          const outer = 3 * (small.rgb[(far + left) * 3 + c] ?? 0) + (small.rgb[(far + right) * 3 + c] ?? 0);
          rgb[i * 3 + c] = (3 * inner + outer + 8) >> 4;
        }
      }
    }
  });
}

function clamp(position: number, length: number): number {
  return Math.min(length - 1, Math.max(0, position));
}

/** Makes all pixels of alpha 0 black, in place. */
export async function clearHidden(rgb: Buffer, alpha: Buffer): Promise<void> {
  await inTurns(alpha.length, 1, (from, to) => {
    for (let i = from; i < to; i++) if (alpha[i] === 0) rgb.fill(0, i * 3, i * 3 + 3);
  });
}

/**
 * The picture as it looks on a ground that contrasts with it: white if its visible pixels are dark, else black. A network
 * that finds the subject must see where a transparent picture ends, whatever colours are beneath.
 */
export async function onGround({ width, height, rgb, alpha }: Raster): Promise<Buffer> {
  if (!alpha) return rgb;
  let [light, weight] = [0, 0];
  await inTurns(alpha.length, 1, (from, to) => {
    for (let i = from; i < to; i++) {
      const opacity = alpha[i] ?? 0;
      weight += opacity;
      light += opacity * ((rgb[i * 3] ?? 0) + 2 * (rgb[i * 3 + 1] ?? 0) + (rgb[i * 3 + 2] ?? 0));
    }
  });
  const ground = light < weight * 4 * 128 ? 255 : 0;
  const flat = Buffer.allocUnsafe(width * height * 3);
  await inTurns(alpha.length, 1, (from, to) => {
    for (let i = from; i < to; i++) {
      const opacity = (alpha[i] ?? 0) / 255;
      for (let at = i * 3; at < i * 3 + 3; at++) flat[at] = (rgb[at] ?? 0) * opacity + ground * (1 - opacity) + 0.5;
    }
  });
  return flat;
}
