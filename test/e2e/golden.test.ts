/**
 * What the models make of the samples is what somebody has looked at: the whole way through `imagen process` and the
 * real Triton. Bounds leave room for another processor's rounding; that they leave no more is tested beside them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  CASES,
  type Distance,
  distance,
  goldenOf,
  impressionOf,
  inputOf,
  maskOf,
  photoOf,
  type Pixels,
  processed,
  readPixels,
  type Sample,
} from '../support/golden.js';

const LIMIT_MS = 240_000;
const BOUNDS: Distance = { mean: 1, p99: 4, hash: 8, similarity: 0.985 };

/** How much of the true subject and of what was found is in both: 1 is equal. */
const OVERLAPS: Readonly<Record<Sample, number>> = {
  astronaut: 0.98,
  chelsea: 0.95, // the network leaves the far ear out, which is out of focus
  coffee: 0.98,
  rocket: 0.85, // it takes glare of lamps and parts of a third tower for subjects: few pixels, but so is the lattice
};

let folder: string;
const env = { ...process.env, ...inject('stack').env };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-golden-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const holds = ({ mean, p99, hash, similarity }: Distance) =>
  mean <= BOUNDS.mean && p99 <= BOUNDS.p99 && hash <= BOUNDS.hash && similarity >= BOUNDS.similarity;

function redAndBlueSwapped({ rgb, ...size }: Pixels): Pixels {
  const swapped = Buffer.from(rgb);
  for (let i = 0; i < rgb.length; i += 3) [swapped[i], swapped[i + 2]] = [rgb[i + 2] ?? 0, rgb[i] ?? 0];
  return { ...size, rgb: swapped };
}

/** One sample is enough to see that a model is the one that was looked at; `npm run test:pixels` takes all. */
const WANTED = CASES.filter(({ sample }) => process.env.IMAGEN_TEST_PIXELS === 'all' || sample === 'chelsea');

describe.each(WANTED)('$model@$version of $sample', (one) => {
  let golden: Pixels;
  beforeAll(async () => {
    golden = await readPixels(goldenOf(one));
  });

  it(
    'is the picture that was looked at',
    async () => {
      const made = await processed(await inputOf(one), one, { folder, env });
      const found = distance(await impressionOf(made, one), golden);
      expect(holds(found), JSON.stringify(found)).toBe(true);
    },
    LIMIT_MS,
  );

  it('would be missed if the model did nothing', async () => {
    const input = await inputOf(one);
    const { width } = await sharp(input).metadata();
    const untouched = await sharp(input)
      .resize(width * one.scale, null, { kernel: 'lanczos3' })
      .png()
      .toBuffer();
    const found = distance(await impressionOf(untouched, one), golden);
    expect(holds(found), JSON.stringify(found)).toBe(false);
  });

  it('would be missed if red and blue were swapped', () => {
    const found = distance(redAndBlueSwapped(golden), golden);
    expect(holds(found), JSON.stringify(found)).toBe(false);
  });
});

describe('the subject that background_remove finds', () => {
  const subject = async (picture: Buffer | string) => {
    const grey = await sharp(picture).toColourspace('b-w').extractChannel(0).raw().toBuffer();
    return grey.map((value) => (value >= 128 ? 1 : 0));
  };

  function overlap(a: Uint8Array, b: Uint8Array): number {
    expect(a.length).toBe(b.length);
    let both = 0;
    let either = 0;
    a.forEach((value, i) => {
      both += value & (b[i] ?? 0);
      either += value | (b[i] ?? 0);
    });
    return both / either;
  }

  it.each(Object.entries(OVERLAPS).map(([sample, least]) => ({ sample: sample as Sample, least })))(
    'in $sample overlaps the true one by $least',
    async ({ sample, least }) => {
      const truth = await subject(maskOf(sample));
      const flags = ['--mask-only'];
      const photo = await sharp(photoOf(sample)).png().toBuffer();
      const found = await processed(photo, { model: 'background_remove', version: '1' }, { folder, env, flags });
      expect(overlap(await subject(found), truth)).toBeGreaterThanOrEqual(least);
      // A mask of everything would not do.
      expect(overlap(Buffer.alloc(truth.length, 1), truth)).toBeLessThan(least);
    },
    LIMIT_MS,
  );
});
