/**
 * How the masks in test/fixtures/masks were made: what background_remove gives, cut at a half, and corrected by hand
 * where one who looks at the picture sees that it is wrong.
 *
 *   npm run stack -- up && npm run build && npx tsx test/support/make-masks.ts
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { stackEnv } from '../../scripts/dev/stack/env.js';
import { defaultStackDir } from '../../scripts/dev/stack/paths.js';
import { defaultPorts } from '../../scripts/dev/stack/ports.js';
import { readState } from '../../scripts/dev/stack/state.js';
import { maskOf, photoOf, processed, type Sample, SAMPLES } from './golden.js';

/** Outlines in pixels of the sample, `x,y x,y …`, in the order in which they are drawn. */
interface Correction {
  readonly what: string;
  readonly subject: boolean;
  readonly outline: string;
}

const CORRECTIONS: Readonly<Record<Sample, readonly Correction[]>> = {
  astronaut: [],
  chelsea: [
    {
      what: 'the far ear, which is out of focus',
      subject: true,
      outline: '320,0 401,0 383,26 380,38 371,57 358,74 345,60 330,30',
    },
    {
      what: 'the blurred box behind the cheek',
      subject: false,
      outline: '359,76 361,95 363,118 362,136 357,158 375,150 380,120 372,90',
    },
  ],
  coffee: [
    {
      what: "the saucer's lit rim",
      subject: true,
      outline: '416,105 432,117 445,132 456,148 464,161 471,177 477,193 470,193 440,150 415,115',
    },
  ],
  rocket: [
    { what: 'the third tower and its lamps', subject: false, outline: '396,0 640,0 640,427 396,427' },
    { what: 'the glare of a lamp', subject: false, outline: '356,360 396,360 396,427 374,427 374,408 356,408' },
    { what: 'lamps on the left', subject: false, outline: '90,360 168,360 168,427 90,427' },
    { what: 'the platform', subject: true, outline: '267,408 373,408 373,427 267,427' },
    { what: 'the rocket', subject: true, outline: '321,129 333,145 333,407 310,407 311,145' },
  ],
};

const folder = await mkdtemp(join(tmpdir(), 'masks-'));
const env = { ...process.env, ...stackEnv(readState(defaultStackDir)?.ports ?? defaultPorts()) };
try {
  for (const sample of SAMPLES) {
    const input = await sharp(photoOf(sample)).png().toBuffer();
    const { width, height } = await sharp(input).metadata();
    const model = { model: 'background_remove', version: '1' };
    const made = await processed(input, model, { folder, env, flags: ['--mask-only'] });
    const shapes = CORRECTIONS[sample].map(
      ({ outline, subject }) => `<polygon points="${outline}" fill="${subject ? 'white' : 'black'}"/>`,
    );
    const drawn = Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${shapes.join('')}</svg>`,
    );
    const corrected = await sharp(made)
      .toColourspace('srgb')
      .composite([{ input: drawn }])
      .png()
      .toBuffer();
    await mkdir(dirname(maskOf(sample)), { recursive: true });
    await sharp(corrected)
      .extractChannel(0)
      .threshold(128)
      .toColourspace('b-w')
      .png({ palette: true, colours: 2, compressionLevel: 9 })
      .toFile(maskOf(sample));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
