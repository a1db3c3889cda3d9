/** How two pictures of one size differ, to the eye and in levels. */
import type { Raster } from '../domain/raster.js';
import type { Difference } from '../domain/shadow.js';
import { pause as letOthersRun } from '../pipeline/turns.js';

/** Side of a window of the structural similarity, in pixels. */
const WINDOW = 8;
/** A pixel with a channel that differs by more than this counts as changed, in levels. */
const VISIBLE_LEVELS = 8;
/** Pixels to compare between two pauses: about two milliseconds of work. */
const PIXELS_A_TURN = 100_000;
/** The constants of SSIM for 8 bits (Wang et al., 2004). */
const [C1, C2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];

/**
 * Compares two pictures of one size. A colour counts as it is seen on black: what is hidden beneath transparent pixels is no
 * difference. Alpha is a fourth channel where one of the pictures has it. The similarity is the mean of the SSIM of the luma
 * in windows of 8 × 8 pixels side by side; those at the right and lower border may be smaller, and weigh as their pixels.
 * @param pause called between pieces of about two milliseconds; it may wait while jobs need the processor
 * @throws RangeError if the sizes differ; what `pause` throws
 */
export async function differenceOf(
  a: Raster,
  b: Raster,
  pause: () => Promise<void> = letOthersRun,
): Promise<Difference> {
  const { width, height } = a;
  if (width !== b.width || height !== b.height) throw new RangeError('expected pictures of one size');
  const all: Sums = { levels: 0, most: 0, changed: 0, similarity: 0 };
  let since = 0;
  for (let top = 0; top < height; top += WINDOW) {
    const bottom = Math.min(height, top + WINDOW);
    for (let from = 0; from < width; from += WINDOW) {
      addWindow(all, a, b, { from, to: Math.min(width, from + WINDOW), top, bottom });
    }
    since += (bottom - top) * width;
    if (since < PIXELS_A_TURN) continue;
    since = 0;
    await pause();
  }
  const pixels = width * height;
  const channels = a.alpha || b.alpha ? 4 : 3;
  return {
    maxLevels: all.most,
    meanLevels: all.levels / (pixels * channels),
    shareAbove8: all.changed / pixels,
    similarity: all.similarity / pixels,
  };
}

/** Sums over all pixels seen so far; `similarity` is weighted by pixels. */
interface Sums {
  levels: number;
  most: number;
  changed: number;
  similarity: number;
}

interface Bounds {
  readonly from: number;
  readonly to: number;
  readonly top: number;
  readonly bottom: number;
}

/** Written out channel by channel: with arrays for the colours of a pixel it takes four times as long. */
function addWindow(all: Sums, a: Raster, b: Raster, { from, to, top, bottom }: Bounds): void {
  let sumA = 0;
  let sumB = 0;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let y = top; y < bottom; y++) {
    for (let pixel = y * a.width + from; pixel < y * a.width + to; pixel++) {
      const alphaA = a.alpha?.[pixel] ?? 255;
      const alphaB = b.alpha?.[pixel] ?? 255;
      const redA = onBlack(a.rgb, pixel * 3, alphaA);
      const redB = onBlack(b.rgb, pixel * 3, alphaB);
      const greenA = onBlack(a.rgb, pixel * 3 + 1, alphaA);
      const greenB = onBlack(b.rgb, pixel * 3 + 1, alphaB);
      const blueA = onBlack(a.rgb, pixel * 3 + 2, alphaA);
      const blueB = onBlack(b.rgb, pixel * 3 + 2, alphaB);
      addLevels(
        all,
        Math.abs(redA - redB),
        Math.abs(greenA - greenB),
        Math.abs(blueA - blueB),
        Math.abs(alphaA - alphaB),
      );
      const lumaA = 0.299 * redA + 0.587 * greenA + 0.114 * blueA;
      const lumaB = 0.299 * redB + 0.587 * greenB + 0.114 * blueB;
      sumA += lumaA;
      sumB += lumaB;
      squaresA += lumaA * lumaA;
      squaresB += lumaB * lumaB;
      products += lumaA * lumaB;
    }
  }
  const pixels = (bottom - top) * (to - from);
  all.similarity += pixels * ssim(pixels, sumA, sumB, squaresA, squaresB, products);
}

function addLevels(all: Sums, red: number, green: number, blue: number, alpha: number): void {
  const most = Math.max(red, green, blue, alpha);
  all.levels += red + green + blue + alpha;
  if (most > all.most) all.most = most;
  if (most > VISIBLE_LEVELS) all.changed++;
}

function onBlack(rgb: Buffer, at: number, alpha: number): number {
  const value = rgb[at] ?? 0;
  return alpha === 255 ? value : Math.round((value * alpha) / 255);
}

/** Structural similarity of one window, from the sums over its pixels. */
function ssim(pixels: number, sumA: number, sumB: number, squaresA: number, squaresB: number, products: number) {
  const [meanA, meanB] = [sumA / pixels, sumB / pixels];
  const [varianceA, varianceB] = [squaresA / pixels - meanA * meanA, squaresB / pixels - meanB * meanB];
  const covariance = products / pixels - meanA * meanB;
  return (
    ((2 * meanA * meanB + C1) * (2 * covariance + C2)) /
    ((meanA * meanA + meanB * meanB + C1) * (varianceA + varianceB + C2))
  );
}
