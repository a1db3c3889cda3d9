/**
 * Kinds of pictures that people send, through the pipeline and the real models: transparent ones, grey ones, and
 * cut-outs. test/fixtures/cases has some; the others are made here.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { root } from '../../scripts/dev/stack/paths.js';
import { connectTriton } from '../../src/adapters/triton/server.js';
import { capacityOf } from '../../src/domain/capacity.js';
import { type JobMessage, parseJob } from '../../src/domain/job.js';
import { NO_ROUTES } from '../../src/domain/routes.js';
import { atOnce } from '../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../src/pipeline/cost.js';
import { JobContext } from '../../src/pipeline/job-context.js';
import { JobState } from '../../src/pipeline/job-state.js';
import { localSteps, runSteps } from '../../src/pipeline/run.js';
import { createFairShare } from '../../src/scheduling/fair-share.js';
import { keepAnswers } from '../support/answers.js';

const LIMIT_MS = 240_000;
const caseOf = (name: string) => readFile(join(root, 'test/fixtures/cases', name));

const triton = connectTriton({ url: inject('stack').env.TRITON_URL, inferTimeoutMs: LIMIT_MS });
await triton.refresh(new AbortController().signal);
/** Formats and hidden colours do not change what a model is asked, so most tests share its answers. */
const models = keepAnswers(triton);
afterAll(() => triton.close());

/** Runs the steps of a job from the bytes of its input to those of its result. */
async function processed(bytes: Buffer, operation: string, output: JobMessage['output'] = {}): Promise<Buffer> {
  const [model = '', version] = operation.split('@');
  const operations = [version === undefined ? model : { model, version }];
  const message: JobMessage = { jobId: 'local', operations, input: { uri: 'gs://local/file' }, output };
  const job = parseJob(Buffer.from(JSON.stringify(message)));
  const share = createFairShare({
    capacityOf: (name) => capacityOf(models.contracts().get(name)),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: 0, failedAttempts: 1 },
  });
  const context = new JobContext(new AbortController().signal, 0);
  const parts = { models, schedule: share.scheduler(job) };
  const state = new JobState(job, context, parts, {
    ...{ maxInputPixels: 1e8, maxOutputPixels: 1e8 },
    route: () => ({ routes: NO_ROUTES, waitMs: 0 }),
    predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
    reserve: () => Promise.resolve(() => undefined),
    codecs: () => atOnce,
  });
  state.bytes = bytes;
  await runSteps(localSteps(job), state);
  return state.encoded.bytes;
}

const rawOf = (file: Buffer) =>
  sharp(file).toColourspace('srgb').ensureAlpha().raw().toBuffer({ resolveWithObject: true });

const FORMATS = ['png', 'jpeg', 'webp', 'avif'] as const;

type Colour = readonly [number, number, number];
const SIDE = 64;

/** A PNG of one colour where `alphaAt` is above 0, and of another beneath the rest. */
function logo(alphaAt: (x: number, y: number) => number, visible: Colour, hidden: Colour): Promise<Buffer> {
  const rgba = Buffer.alloc(SIDE * SIDE * 4);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const alpha = Math.round(Math.max(0, Math.min(255, alphaAt(i % SIDE, Math.floor(i / SIDE)))));
    Buffer.from([...(alpha > 0 ? visible : hidden), alpha]).copy(rgba, i * 4);
  }
  return sharp(rgba, { raw: { width: SIDE, height: SIDE, channels: 4 } })
    .png()
    .toBuffer();
}

const LOGOS: readonly [string, (x: number, y: number) => number, Colour][] = [
  ['a red soft disc', (x, y) => (20 - Math.hypot(x - 32, y - 32)) * 128, [253, 20, 30]],
  ['white bars', (x, y) => (x % 16 < 6 && y > 8 && y < 56 ? 255 : 0), [250, 250, 250]],
  ['a thin green ring', (x, y) => (1.5 - Math.abs(Math.hypot(x - 32, y - 32) - 22)) * 200, [20, 200, 60]],
  ['a half transparent yellow square', (x, y) => (x > 12 && x < 50 && y > 20 ? 128 : 0), [240, 220, 10]],
];
const BESIDE: readonly Colour[] = [
  [0, 0, 0],
  [255, 255, 255],
  [0, 90, 255],
];
const GROUNDS = ['#ffffff', '#000000', '#00ff00'];

/** Whether two results look the same on every ground, and how dark or pale the first one's edge is. */
async function largestApart(a: Buffer, b: Buffer): Promise<number> {
  let largest = 0;
  for (const background of GROUNDS) {
    const [one, two] = await Promise.all(
      [a, b].map((file) => sharp(file).flatten({ background }).removeAlpha().raw().toBuffer()),
    );
    one?.forEach((value, i) => (largest = Math.max(largest, Math.abs(value - (two?.[i] ?? NaN)))));
  }
  return largest;
}

describe.each(['upscale@1', 'enhance', 'style_comic', 'style_aged'])(
  'colours beneath transparent pixels, in %s',
  (operation) => {
    it(
      'do not change 07-disc',
      async () => {
        const [black, red] = [await caseOf('07-disc-black.png'), await caseOf('07-disc-red.png')];
        expect(
          await largestApart(await processed(black, operation), await processed(red, operation)),
        ).toBeLessThanOrEqual(1);
      },
      LIMIT_MS,
    );

    it.each(LOGOS)(
      'do not change %s',
      async (_name, alphaAt, colour) => {
        const own = await processed(await logo(alphaAt, colour, colour), operation);
        for (const hidden of BESIDE) {
          const made = await processed(await logo(alphaAt, colour, hidden), operation);
          expect(await largestApart(made, own)).toBeLessThanOrEqual(1);
        }
        if (operation !== 'upscale@1') return;
        // No rim: every visible pixel has about the logo's one colour.
        const { data } = await rawOf(own);
        let [hidden, rim] = [0, 0];
        for (let i = 0; i < data.length; i++) {
          const [level = NaN, alpha] = [data[i], data[i | 3]];
          if ((i & 3) === 3) continue;
          if (alpha === 0) hidden = Math.max(hidden, level);
          else rim = Math.max(rim, Math.abs(level - (colour[i & 3] ?? NaN)));
        }
        expect(hidden).toBe(0);
        expect(rim).toBeLessThan(16);
      },
      LIMIT_MS,
    );
  },
);

it.each<[string, () => Promise<Buffer>, readonly [number, number], number]>([
  ['08-hard-alpha', () => caseOf('08-hard-alpha.png'), [12, 36], 24],
  [
    'a square',
    () => logo((x, y) => (x >= 20 && x < 44 && y >= 10 && y < 50 ? 255 : 0), [90, 90, 200], [9, 9, 9]),
    [20, 44],
    32,
  ],
  [
    'a square on a border',
    () => logo((x) => (x >= 32 && x < 60 ? 255 : 0), [200, 90, 20], [255, 255, 255]),
    [32, 60],
    5,
  ],
  ['a bar', () => logo((x) => (x >= 7 && x < 11 ? 255 : 0), [0, 0, 0], [255, 0, 0]), [7, 11], 40],
])(
  'the edge of the alpha of %s stays where it is, without a ring',
  async (_name, make, wanted, row) => {
    const { data, info } = await rawOf(await processed(await make(), 'upscale@1'));
    const alpha = Array.from({ length: info.width }, (_, x) => data[(row * 4 * info.width + x) * 4 + 3] ?? 0);
    const edges = alpha.flatMap((b, i) => {
      const a = alpha[i - 1] ?? b;
      return a < 127.5 === b < 127.5 ? [] : [(i - 0.5 + (127.5 - a) / (b - a)) / 4];
    });
    expect(edges).toHaveLength(2);
    edges.forEach((edge, i) => expect(Math.abs(edge - (wanted[i] ?? NaN))).toBeLessThan(0.1 / 4));
    // It rises once and falls once.
    const top = alpha.indexOf(255);
    alpha.forEach(
      (value, x) =>
        x > 0 &&
        expect(Math.sign(value - (alpha[x - 1] ?? 0)) * (x <= top ? 1 : -1)).toBeGreaterThan(-0.5 - (x <= top ? 0 : 1)),
    );
  },
  LIMIT_MS,
);

describe('a grey picture', () => {
  const scan = (x: number, y: number) => (y % 12 < 6 && Math.sin(x * (1 + y / 40)) > 0 ? 30 : 235);
  const pixels = (channels: 1 | 2 | 3 | 4) =>
    sharp(
      Buffer.from(
        Array.from({ length: SIDE * SIDE }, (_, i) => {
          const value = scan(i % SIDE, Math.floor(i / SIDE));
          const alpha = i % SIDE < 20 ? 0 : 255;
          return channels === 1
            ? [value]
            : channels === 2
              ? [value, alpha]
              : channels === 3
                ? [value, value, value]
                : [];
        }).flat(),
      ),
      { raw: { width: SIDE, height: SIDE, channels } },
    );
  const KINDS: readonly [string, () => Promise<Buffer>][] = [
    ['09-grey.jpg', () => caseOf('09-grey.jpg')],
    ['a grey PNG', () => pixels(1).toColourspace('b-w').png().toBuffer()],
    ['a grey PNG with alpha', () => pixels(2).toColourspace('b-w').png().toBuffer()],
    ['a grey picture stored as colours in WebP', () => pixels(3).webp({ lossless: true }).toBuffer()],
    ['a grey picture stored as colours in JPEG', () => pixels(3).jpeg({ quality: 95 }).toBuffer()],
  ];

  describe.each(['upscale@1', 'enhance', 'style_comic', 'style_aged'])('in %s', (operation) => {
    it.each(KINDS)(
      'stays grey: %s',
      async (_name, make) => {
        const input = await make();
        const { hasAlpha } = await sharp(input).metadata();
        for (const format of FORMATS) {
          const background = format === 'jpeg' && hasAlpha ? { background: '#808080' } : {};
          const made = await processed(input, operation, { format, ...background });
          const { channels } = await sharp(made).metadata();
          if (format === 'png') expect(channels).toBe(hasAlpha ? 2 : 1);
          if (format === 'jpeg') expect(channels).toBe(1);
          const { data } = await sharp(made)
            .toColourspace('srgb')
            .ensureAlpha()
            .raw()
            .toBuffer({ resolveWithObject: true });
          for (let i = 0; i < data.length; i += 4) {
            const [red = 0, green = 0, blue = 0] = data.subarray(i, i + 3);
            // WebP converts from luma and chroma in whole numbers, and gives green a level less or more.
            if (Math.abs(red - green) > (format === 'webp' ? 1 : 0) || red !== blue)
              expect.fail(`${format}: ${data.subarray(i, i + 4).join()}`);
          }
        }
      },
      LIMIT_MS,
    );
  });

  it(
    'stays grey in upscale 2 and in a cut-out',
    async () => {
      const input = await sharp(await caseOf('09-grey.jpg'))
        .extract({ left: 0, top: 0, width: 40, height: 32 })
        .png()
        .toBuffer();
      for (const operation of ['upscale@2', 'background_remove']) {
        expect(await sharp(await processed(input, operation, { format: 'png' })).metadata()).toMatchObject({
          space: 'b-w',
        });
      }
    },
    LIMIT_MS,
  );

  it(
    'leaves one with a single coloured pixel as it is',
    async () => {
      const { data, info } = await rawOf(await pixels(3).png().toBuffer());
      data[300] = 255 - (data[300] ?? 0);
      const input = await sharp(data, { raw: info }).png().toBuffer();
      expect(await sharp(await processed(input, 'style_aged')).metadata()).toMatchObject({
        space: 'srgb',
        channels: 3,
      });
    },
    LIMIT_MS,
  );
});

describe('a cut-out', () => {
  const SUBJECTS: readonly [string, () => Promise<Buffer>][] = [
    ['10-subject.jpg', () => caseOf('10-subject.jpg')],
    ...['astronaut', 'chelsea', 'coffee'].map(
      (name) =>
        [
          name,
          async () =>
            sharp(await readFile(join(root, `test/fixtures/photos/${name}.jpg`)))
              .resize(224)
              .jpeg({ quality: 92 })
              .toBuffer(),
        ] as [string, () => Promise<Buffer>],
    ),
  ];

  /** How much the pixels of alpha 0 differ from their right neighbour: what can be read there. */
  async function detailBeneath(file: Buffer): Promise<number> {
    const { data } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    let [sum, count] = [0, 0];
    for (let i = 0; i + 8 <= data.length; i += 4) {
      if (data[i + 3] !== 0 || data[i + 7] !== 0) continue;
      sum += Math.abs((data[i] ?? 0) - (data[i + 4] ?? 0)) + Math.abs((data[i + 1] ?? 0) - (data[i + 5] ?? 0));
      count++;
    }
    return sum / Math.max(1, count);
  }

  it.each(SUBJECTS)(
    'of %s has nothing readable beneath, unless that is asked for',
    async (_name, make) => {
      const input = await make();
      for (const format of ['png', 'webp', 'avif'] as const) {
        const made = await processed(input, 'background_remove', { format });
        const kept = await processed(input, 'background_remove', { format, keepHidden: true });
        const [beneath, before] = [await detailBeneath(made), await detailBeneath(kept)];
        // A smooth continuation of the subject's colours, in a lossy file; nothing at all in a lossless one.
        expect(beneath).toBeLessThan(Math.max(1.5, before / 4));
        if (format === 'png') expect(beneath).toBe(0);
        if (format === 'png') expect(made.length).toBeLessThan(kept.length * 0.9);
        expect(await largestApart(made, kept)).toBeLessThanOrEqual(format === 'png' ? 0 : 80);
      }
    },
    LIMIT_MS,
  );
});
