/**
 * Golden pictures: what each model made of each sample when somebody last looked at it and found it good. Kept small:
 * of each result the whole, shrunk, which tells of colours and composition, and a window at full size, which tells of
 * detail.
 */
import { join } from 'node:path';
import sharp from 'sharp';
import { root } from '../../scripts/dev/stack/paths.js';
import { runProgram } from './program.js';

export const SAMPLES = ['astronaut', 'chelsea', 'coffee', 'rocket'] as const;
export type Sample = (typeof SAMPLES)[number];

/** The middle of each sample's window, as parts of its width and height: eyes, the rim of the cup, the tower. */
const WINDOWS: Readonly<Record<Sample, readonly [number, number]>> = {
  astronaut: [0.43, 0.22],
  chelsea: [0.5, 0.37],
  coffee: [0.55, 0.42],
  rocket: [0.5, 0.45],
};

export interface Case {
  readonly sample: Sample;
  readonly model: string;
  readonly version: string;
  /** Output side ÷ input side. */
  readonly scale: number;
  /** The sample is shrunk to this width first, where the network is slow. */
  readonly width?: number;
}

/** Five models on four samples; of the slow version one small picture. */
export const CASES: readonly Case[] = [
  ...SAMPLES.flatMap((sample) => [
    { sample, model: 'upscale', version: '1', scale: 4 },
    ...['enhance', 'background_remove', 'style_comic', 'style_aged'].map((model) => ({
      ...{ sample, model, version: '1', scale: 1 },
    })),
  ]),
  { sample: 'chelsea', model: 'upscale', version: '2', scale: 4, width: 128 },
];

const SIDE = 64;
const CLI = join(root, 'dist/main.js');
/** What shows through where a background was removed. */
const BEHIND = '#00c800';

export const photoOf = (sample: Sample): string => join(root, `test/fixtures/photos/${sample}.jpg`);
export const goldenOf = ({ sample, model, version }: Case): string =>
  join(root, `test/fixtures/golden/${model}.${version}.${sample}.webp`);
export const maskOf = (sample: Sample): string => join(root, `test/fixtures/masks/${sample}.png`);

/** A picture as three bytes a pixel. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly rgb: Buffer;
}

/** The picture that a case's model is given. */
export function inputOf({ sample, width }: Case): Promise<Buffer> {
  return sharp(photoOf(sample))
    .resize(width ?? null)
    .png()
    .toBuffer();
}

/** Runs one operation on a file, by the worker's own pipeline and the real Triton; returns the PNG that it writes. */
export async function processed(
  input: Buffer,
  { model, version }: Pick<Case, 'model' | 'version'>,
  options: { readonly folder: string; readonly env: NodeJS.ProcessEnv; readonly flags?: readonly string[] },
): Promise<Buffer> {
  const [from, to] = [join(options.folder, 'input.png'), join(options.folder, 'output.png')];
  await sharp(input).png().toFile(from);
  const flags = options.flags ?? ['--background', BEHIND];
  const args = [CLI, 'process', from, '-o', to, '-p', `${model}@${version}`, ...flags];
  const { code, stderr } = await runProgram(process.execPath, args, options.env);
  if (code !== 0) throw new Error(`imagen process exited with ${code}: ${stderr}`);
  return sharp(to).png({ compressionLevel: 1 }).toBuffer();
}

/** What is kept of a result: on the left the whole, at most 64 a side, on the right 64 × 64 pixels at full size. */
export async function impressionOf(picture: Buffer, { sample }: Pick<Case, 'sample'>): Promise<Pixels> {
  const { width, height } = await sharp(picture).metadata();
  const [x, y] = WINDOWS[sample];
  const place = (middle: number, length: number) =>
    Math.max(0, Math.min(length - SIDE, Math.round(middle * length - SIDE / 2)));
  const black = { r: 0, g: 0, b: 0 };
  const whole = sharp(picture).removeAlpha().resize(SIDE, SIDE, { fit: 'contain', background: black, kernel: 'cubic' });
  const part = sharp(picture)
    .removeAlpha()
    .extract({ left: place(x, width), top: place(y, height), width: SIDE, height: SIDE });
  const rgb = await sharp(await whole.toColourspace('srgb').png().toBuffer())
    .extend({ right: SIDE, background: black })
    .composite([{ input: await part.toColourspace('srgb').png().toBuffer(), left: SIDE, top: 0 }])
    .removeAlpha()
    .raw()
    .toBuffer();
  return { width: 2 * SIDE, height: SIDE, rgb };
}

/** How far two impressions are apart: the worse of their two halves. */
export interface Distance {
  /** Mean difference, in levels of 255. */
  readonly mean: number;
  /** 99 of 100 values differ by no more than this. */
  readonly p99: number;
  /** Of 240 comparisons of neighbouring blocks of the whole, how many come out otherwise. */
  readonly hash: number;
  /** Structural similarity of the window's brightness, over blocks of 8 × 8: 1 is equal. */
  readonly similarity: number;
}

export function distance(a: Pixels, b: Pixels): Distance {
  const halves = [0, 1].map((half) => {
    const differences: number[] = [];
    for (let y = 0; y < SIDE; y++) {
      for (let at = (y * 2 + half) * SIDE * 3; at < (y * 2 + half + 1) * SIDE * 3; at++)
        differences.push(Math.abs((a.rgb[at] ?? 0) - (b.rgb[at] ?? 0)));
    }
    differences.sort((p, q) => p - q);
    return {
      mean: differences.reduce((sum, value) => sum + value, 0) / differences.length,
      p99: differences[Math.floor(differences.length * 0.99)] ?? 0,
    };
  });
  const [one, other] = [hashOf(a), hashOf(b)];
  return {
    mean: Math.max(...halves.map(({ mean }) => mean)),
    p99: Math.max(...halves.map(({ p99 }) => p99)),
    hash: one.filter((bit, i) => bit !== other[i]).length,
    similarity: similarity(luma(a), luma(b)),
  };
}

function luma({ rgb }: Pixels): number[] {
  return Array.from({ length: rgb.length / 3 }, (_, i) => {
    const [r = 0, g = 0, b = 0] = rgb.subarray(i * 3, i * 3 + 3);
    return 0.299 * r + 0.587 * g + 0.114 * b;
  });
}

/** Whether each of 16 × 16 blocks of the whole is brighter than its left neighbour. */
function hashOf(picture: Pixels): boolean[] {
  const light = luma(picture);
  const block = SIDE / 16;
  const mean = (column: number, row: number) => {
    let sum = 0;
    for (let y = 0; y < block; y++)
      for (let x = 0; x < block; x++) sum += light[(row * block + y) * 2 * SIDE + column * block + x] ?? 0;
    return sum / block ** 2;
  };
  return Array.from({ length: 16 * 15 }, (_, i) => {
    const [row, column] = [Math.floor(i / 15), i % 15];
    return mean(column + 1, row) > mean(column, row) + 0.5;
  });
}

function similarity(a: number[], b: number[]): number {
  const scores: number[] = [];
  for (let top = 0; top < SIDE; top += 8) {
    for (let left = SIDE; left < 2 * SIDE; left += 8) {
      const at = Array.from({ length: 64 }, (_, i) => (top + (i >> 3)) * 2 * SIDE + left + (i & 7));
      const [p, q] = [at.map((i) => a[i] ?? 0), at.map((i) => b[i] ?? 0)];
      const [meanP, meanQ] = [average(p), average(q)];
      const [varP, varQ] = [average(p.map((v) => (v - meanP) ** 2)), average(q.map((v) => (v - meanQ) ** 2))];
      const both = average(p.map((v, i) => (v - meanP) * ((q[i] ?? 0) - meanQ)));
      const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
      scores.push(((2 * meanP * meanQ + c1) * (2 * both + c2)) / ((meanP ** 2 + meanQ ** 2 + c1) * (varP + varQ + c2)));
    }
  }
  return average(scores);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** A golden picture as it was stored. */
export async function readPixels(file: string): Promise<Pixels> {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

export async function writeGolden(file: string, { width, height, rgb }: Pixels): Promise<void> {
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .webp({ lossless: true, effort: 6 })
    .toFile(file);
}
