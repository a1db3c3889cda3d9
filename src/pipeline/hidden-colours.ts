/**
 * Colours beneath transparent pixels. They are invisible, but networks, filters and programs that open the file see
 * them.
 */
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

/** Each pixel is the weighted mean of four, or of those that there are at the border. */
async function halved(level: Level): Promise<Level> {
  const small = { width: Math.ceil(level.width / 2), height: Math.ceil(level.height / 2) };
  const pixels = small.width * small.height;
  const half = { ...small, rgb: new Uint8Array(pixels * 3), weights: new Uint8Array(pixels) };
  await inTurns(small.height, small.width * 4, (from, to) => halveRows(level, half, from, to));
  return half;
}

function halveRows({ rgb, weights, width, height }: Level, half: Level, from: number, to: number): void {
  for (let y = from; y < to; y++) {
    const above = 2 * y * width;
    const below = 2 * y + 1 < height ? above + width : -1;
    for (let x = 0; x < half.width; x++) {
      const a = above + 2 * x;
      const b = below + 2 * x;
      const isPair = 2 * x + 1 < width;
      const wa = weights[a] ?? 0;
      const wb = isPair ? (weights[a + 1] ?? 0) : 0;
      const wc = below < 0 ? 0 : (weights[b] ?? 0);
      const wd = below < 0 || !isPair ? 0 : (weights[b + 1] ?? 0);
      const weight = wa + wb + wc + wd;
      if (weight === 0) continue;
      const i = y * half.width + x;
      half.weights[i] = (weight + 3) >> 2;
      for (let c = 0; c < 3; c++) {
        let sum = wa * (rgb[a * 3 + c] ?? 0);
        if (wb > 0) sum += wb * (rgb[a * 3 + 3 + c] ?? 0);
        if (wc > 0) sum += wc * (rgb[b * 3 + c] ?? 0);
        if (wd > 0) sum += wd * (rgb[b * 3 + 3 + c] ?? 0);
        half.rgb[i * 3 + c] = sum / weight + 0.5;
      }
    }
  }
}

/** Gives the pixels of weight 0 the colours of a smaller copy, all of whose colours are known, interpolated bilinearly. */
function fill(level: Level, small: Level): Promise<void> {
  return inTurns(level.height, level.width, (from, to) => fillRows(level, small, from, to));
}

function fillRows({ rgb, weights, width }: Level, small: Level, from: number, to: number): void {
  const colours = small.rgb;
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
        const inner = 3 * (colours[(near + left) * 3 + c] ?? 0) + (colours[(near + right) * 3 + c] ?? 0);
        const outer = 3 * (colours[(far + left) * 3 + c] ?? 0) + (colours[(far + right) * 3 + c] ?? 0);
        rgb[i * 3 + c] = (3 * inner + outer + 8) >> 4;
      }
    }
  }
}

function clamp(position: number, length: number): number {
  return Math.min(length - 1, Math.max(0, position));
}

/** Makes all pixels of alpha 0 black, in place. */
export async function clearHidden(rgb: Buffer, alpha: Buffer): Promise<void> {
  await inTurns(alpha.length, 1, (from, to) => {
    for (let i = from; i < to; i++) {
      if (alpha[i] !== 0) continue;
      rgb[i * 3] = 0;
      rgb[i * 3 + 1] = 0;
      rgb[i * 3 + 2] = 0;
    }
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
