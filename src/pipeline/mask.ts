import sharp from 'sharp';
import type { Raster, Size } from '../domain/raster.js';
import { atOnce, type Codec, costOf, RESIZE_NS } from './codec.js';
import { boxMean, guidedCoefficients, type Plane } from './guided-filter.js';
import { extendColours } from './hidden-colours.js';
import { pause } from './turns.js';

/** Long side of the working picture on which the edge model is computed, in pixels. It is applied at full resolution. */
const WORKING_SIDE = 512;
const RADIUS = 8;
const EPSILON = 1e-3;
/**
 * Largest error of the network's edge, in working pixels. The edge model mistakes a highlight near the edge for background
 * if the background is equally light. So the refined mask stays within the network's values at this distance.
 */
const SLACK = 1;
/** Below `EMPTY` the refined mask counts as empty, above `FULL` as full. Between them it rises smoothly. */
const EMPTY = 0.1;
const FULL = 0.9;
/** Opacity above which a pixel shows the subject's own colour. Below `1 − SURE` it shows that of the background. */
const SURE = 0.95;
/** Radius over which the colours of subject and background are averaged, in working pixels. */
const COLOUR_RADIUS = 3;

/** Floats per working pixel: four for the edge model, two bounds, three each for the colours of subject and background. */
const FIELDS = 12;
/** Full-resolution pixels between two pauses for the event loop. */
const PIXELS_A_TURN = 100_000;

/**
 * Cuts the subject out. It takes a mask that was computed on a small picture, refines it along the edges of the large one,
 * and makes it the alpha. Half-transparent pixels along the edge get the subject's colour without the background's, so
 * that no halo of it remains (M. Forte, "Approximate Fast Foreground Colour Estimation", 2021). It multiplies the alpha by
 * the one that the picture had before.
 * @param mask `height × width` bytes; 255 is subject
 * @param seen the colours that the network saw; they differ from the picture's where it was transparent
 */
export async function applyMask(
  raster: Raster,
  mask: Buffer,
  codec: Codec = atOnce,
  seen = raster.rgb,
): Promise<Raster> {
  const small = workingSize(raster);
  const coefficients = await workingCoefficients({ ...raster, rgb: seen }, mask, small, codec);
  return await paint(raster, seen, coefficients, small);
}

function workingSize({ width, height }: Size): Size {
  const ratio = Math.min(1, WORKING_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) };
}

/** @returns `FIELDS` floats for each working pixel, side by side, because they are always read together */
async function workingCoefficients(raster: Raster, mask: Buffer, small: Size, codec: Codec): Promise<Float32Array> {
  const { width, height } = small;
  const shrunk = (pixels: Buffer, channels: 1 | 3) =>
    sharp(pixels, { raw: { width: raster.width, height: raster.height, channels } })
      .resize(width, height, { fit: 'fill' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw()
      .toBuffer();
  const costMs = costOf(raster, RESIZE_NS);
  const rgb = await codec(costMs, () => shrunk(raster.rgb, 3));
  const target = await codec(costMs, () => shrunk(mask, 1));
  const pixels = width * height;
  await pause();
  const guide = [planeOf(rgb, 0, 3), planeOf(rgb, 1, 3), planeOf(rgb, 2, 3)] as const;
  const goal = planeOf(target, 0, 1);
  const edge = await guidedCoefficients([...guide], goal, width, height, RADIUS, EPSILON);

  const [a0, a1, a2, offset] = edge;
  const [r, g, b] = guide;
  const least = await extremes(goal, small, SLACK, Math.min);
  const most = await extremes(goal, small, SLACK, Math.max);
  const refined = offset.map((constant, i) => {
    const value = constant + (a0[i] ?? 0) * (r[i] ?? 0) + (a1[i] ?? 0) * (g[i] ?? 0) + (a2[i] ?? 0) * (b[i] ?? 0);
    return Math.min(most[i] ?? 1, Math.max(least[i] ?? 0, value));
  });
  await pause();
  const opacity = refined.map((value) => smoothstep(EMPTY, FULL, value));
  const subject = await coloursWhere(opacity, rgb, small);
  const background = await coloursWhere(
    opacity.map((value) => 1 - value),
    rgb,
    small,
  );
  const fields = [...edge, least, most, ...subject, ...background];
  const together = new Float32Array(pixels * FIELDS);
  for (const [f, field] of fields.entries()) {
    await pause();
    for (let i = 0; i < pixels; i++) together[i * FIELDS + f] = field[i] ?? 0;
  }
  return together;
}

/** One channel of interleaved bytes, in 0..1. */
function planeOf(bytes: Buffer, channel: number, channels: number): Plane {
  const plane = new Float32Array(bytes.length / channels);
  for (let i = 0; i < plane.length; i++) plane[i] = (bytes[i * channels + channel] ?? 0) / 255;
  return plane;
}

/** Minimum or maximum in the square around each pixel, cut off at the borders. */
async function extremes(
  plane: Plane,
  { width, height }: Size,
  radius: number,
  pick: (a: number, b: number) => number,
): Promise<Plane> {
  const along = async (source: Plane, length: number, step: number) => {
    await pause();
    return source.map((value, i) => {
      const at = Math.floor(i / step) % length;
      let found = value;
      for (let d = -Math.min(radius, at); d <= Math.min(radius, length - 1 - at); d++)
        found = pick(found, source[i + d * step] ?? found);
      return found;
    });
  };
  return along(await along(plane, width, 1), height, width);
}

/**
 * The colours of the pixels that are surely of one kind, carried to where they are not and averaged over a few pixels.
 * @param share how much of each pixel is of the kind, 0 to 1; if none is sure, the surest count
 * @returns red, green and blue planes
 */
async function coloursWhere(share: Plane, rgb: Buffer, small: Size): Promise<Plane[]> {
  const sure = share.reduce((most, value) => Math.max(most, value), 0);
  const weights = Buffer.from(share.map((value) => (value >= Math.min(SURE, sure) ? 255 : 0)));
  const colours = Buffer.from(rgb);
  await extendColours(colours, weights, small);
  const planes: Plane[] = [];
  for (const channel of [0, 1, 2]) planes.push(await blur(planeOf(colours, channel, 3), small));
  return planes;
}

/** Three box means are nearly a Gaussian. */
async function blur(plane: Plane, { width, height }: Size): Promise<Plane> {
  let result = plane;
  for (let pass = 0; pass < 3; pass++) {
    await pause();
    result = boxMean(result, width, height, COLOUR_RADIUS);
  }
  return result;
}

/** Kinds of working pixels. A pixel of the picture has a kind if all four working pixels around it have it. */
const OUTSIDE = 1;
const INSIDE = 2;

/** Outside, pixels are transparent. Inside, pixels are opaque. Only along the edge does a pixel depend on its own colour. */
function kindsOf(coefficients: Float32Array): Uint8Array {
  const kinds = new Uint8Array(coefficients.length / FIELDS);
  for (let i = 0; i < kinds.length; i++) {
    const at = i * FIELDS;
    const least = coefficients[at + 4] ?? 0;
    const most = coefficients[at + 5] ?? 1;
    if (least >= FULL) kinds[i] = INSIDE;
    else if (most <= EMPTY) kinds[i] = OUTSIDE;
  }
  return kinds;
}

/** Interpolates the coefficients bilinearly and applies them to every pixel of the full picture. */
async function paint(raster: Raster, seen: Buffer, coefficients: Float32Array, small: Size): Promise<Raster> {
  const { width, height } = raster;
  const rgb = Buffer.allocUnsafe(width * height * 3);
  const alpha = Buffer.allocUnsafe(width * height);
  const row = new Float32Array(small.width * FIELDS);
  const columns = sampler(width, small.width);
  const rows = sampler(height, small.height);
  const kinds = kindsOf(coefficients);
  const c = new Float32Array(FIELDS);
  const rowsATurn = Math.ceil(PIXELS_A_TURN / width);

  for (let y = 0; y < height; y++) {
    if (y % rowsATurn === rowsATurn - 1) await pause();
    copyRow(raster, rgb, alpha, y);
    const [top, bottom, down] = rows(y);
    let interpolated = false;
    for (let x = 0; x < width; x++) {
      const [left, right, across] = columns(x);
      const kind = kindAround(kinds, small.width, top, bottom, left, right);
      if (kind === OUTSIDE) alpha[y * width + x] = 0;
      if (kind !== 0) continue;
      if (!interpolated) {
        interpolated = true;
        for (let i = 0; i < row.length; i++) {
          const above = coefficients[top * row.length + i] ?? 0;
          row[i] = above + ((coefficients[bottom * row.length + i] ?? 0) - above) * down;
        }
      }
      for (let f = 0; f < FIELDS; f++) {
        const before = row[left * FIELDS + f] ?? 0;
        c[f] = before + ((row[right * FIELDS + f] ?? 0) - before) * across;
      }
      paintPixel(raster, seen, rgb, alpha, y * width + x, c);
    }
  }
  return { width, height, rgb, alpha };
}

/** Copies one row. A copy of the whole picture at once would block the event loop for a tenth of a second. */
function copyRow(raster: Raster, rgb: Buffer, alpha: Buffer, y: number): void {
  const [from, to] = [y * raster.width, (y + 1) * raster.width];
  raster.rgb.copy(rgb, from * 3, from * 3, to * 3);
  if (raster.alpha) raster.alpha.copy(alpha, from, from, to);
  else alpha.fill(255, from, to);
}

function kindAround(kinds: Uint8Array, pitch: number, top: number, bottom: number, left: number, right: number) {
  const above = (kinds[top * pitch + left] ?? 0) & (kinds[top * pitch + right] ?? 0);
  return above & (kinds[bottom * pitch + left] ?? 0) & (kinds[bottom * pitch + right] ?? 0);
}

function paintPixel(raster: Raster, seen: Buffer, rgb: Buffer, alpha: Buffer, i: number, c: Float32Array): void {
  const [a0 = 0, a1 = 0, a2 = 0, offset = 0, least = 0, most = 1] = c;
  const at = i * 3;
  const refined = (a0 * (seen[at] ?? 0) + a1 * (seen[at + 1] ?? 0) + a2 * (seen[at + 2] ?? 0)) / 255 + offset;
  const opacity = smoothstep(EMPTY, FULL, Math.min(most, Math.max(least, refined)));
  const before = raster.alpha?.[i] ?? 255;
  alpha[i] = opacity * before + 0.5;
  // The colour of a pixel that was transparent before is already free of what is behind it.
  if (before < 255) return;
  for (let channel = 0; channel < 3; channel++) {
    const subject = 255 * (c[6 + channel] ?? 0);
    const background = 255 * (c[9 + channel] ?? 0);
    const mixed = opacity * subject + (1 - opacity) * background;
    const colour = subject + opacity * ((seen[at + channel] ?? 0) - mixed);
    rgb[at + channel] = Math.min(255, Math.max(0, colour)) + 0.5;
  }
}

function smoothstep(from: number, to: number, value: number): number {
  const t = Math.min(1, Math.max(0, (value - from) / (to - from)));
  return t * t * (3 - 2 * t);
}

/** For each position on the large axis: its two neighbours on the small axis, and how far it lies between them, 0 to 1. */
function sampler(large: number, small: number): (i: number) => readonly [number, number, number] {
  const table = Array.from({ length: large }, (_, i) => {
    const at = Math.min(small - 1, Math.max(0, ((i + 0.5) * small) / large - 0.5));
    const first = Math.floor(at);
    return [first, Math.min(small - 1, first + 1), at - first] as const;
  });
  return (i) => table[i] ?? [0, 0, 0];
}
