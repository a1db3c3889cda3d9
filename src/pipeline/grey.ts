/** Grey pictures, whose red, green and blue are equal in every visible pixel. */
import type { Raster } from '../domain/raster.js';
import { inTurns, pause } from './turns.js';

/** Pixels between two pauses. Most photographs show a colour in the first few. */
const PIXELS_A_TURN = 1_000_000;

/** Whether a picture is grey. Colours beneath transparent pixels do not count. */
export async function isGrey({ rgb, alpha }: Raster): Promise<boolean> {
  const pixels = rgb.length / 3;
  for (let from = 0; from < pixels; from += PIXELS_A_TURN) {
    if (from > 0) await pause();
    for (let i = from; i < Math.min(pixels, from + PIXELS_A_TURN); i++) {
      const green = rgb[i * 3 + 1];
      if ((rgb[i * 3] !== green || rgb[i * 3 + 2] !== green) && alpha?.[i] !== 0) return false;
    }
  }
  return true;
}

/** Replaces each colour by its luma (ITU-R BT.601), in place. */
export async function makeGrey(rgb: Buffer): Promise<void> {
  await inTurns(rgb.length / 3, 1, (from, to) => {
    for (let at = from * 3; at < to * 3; at += 3) {
      const luma = (rgb[at] ?? 0) * 0.299 + (rgb[at + 1] ?? 0) * 0.587 + (rgb[at + 2] ?? 0) * 0.114 + 0.5;
      rgb[at] = luma;
      rgb[at + 1] = luma;
      rgb[at + 2] = luma;
    }
  });
}

/** Makes the three channels equal, in place: Little CMS rounds them apart by a level here and there. */
export async function evenOut({ rgb }: Raster): Promise<void> {
  await inTurns(rgb.length / 3, 1, (from, to) => {
    for (let at = from * 3; at < to * 3; at += 3) {
      const green = rgb[at + 1] ?? 0;
      rgb[at] = green;
      rgb[at + 2] = green;
    }
  });
}
