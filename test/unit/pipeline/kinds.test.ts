/** What becomes of transparent and of grey pictures between decode and encode, with models made for it. */
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import type { Raster } from '../../../src/domain/raster.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { readHeader } from '../../../src/pipeline/decode.js';
import { encode } from '../../../src/pipeline/encode.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { isGrey } from '../../../src/pipeline/grey.js';
import type { JobState } from '../../../src/pipeline/job-state.js';
import { PLAN_TABLE } from '../../../src/pipeline/plans/index.js';
import { decodeStep } from '../../../src/pipeline/steps.js';
import { transform } from '../../../src/pipeline/transform.js';
import { memoryModels } from '../../support/memory-models.js';

const SIDE = 40;
type Colour = readonly [number, number, number];

/** @param answer the pixels that a model returns for those that it is sent */
function modelOf(
  answer: (rgb: Buffer, width: number, height: number) => Promise<Buffer> | Buffer,
  scale: number,
  output: 'image' | 'mask',
) {
  const tensor = (name: string, channels: number) => ({
    name,
    datatype: 'UINT8',
    dims: [-1, -1, channels],
    optional: false,
  });
  const model = readContract({
    ...{ model: 'm', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true }, readyVersions: ['1'] },
    ...{ inputs: [tensor('image', 3)], outputs: [tensor(output, output === 'mask' ? 1 : 3)] },
    parameters: { 'imagen.plans': '["whole"]', 'imagen.scale': String(scale) },
  });
  const contract = model.versions.get('1') ?? expect.fail();
  const sent: Buffer[] = [];
  const models = memoryModels([model], async ({ inputs: [image = expect.fail()] }) => {
    const [height = 0, width = 0] = image.shape;
    sent.push(Buffer.from(image.data));
    const data = await answer(image.data, width, height);
    return createTensor(output, 'UINT8', [height * scale, width * scale, output === 'mask' ? 1 : 3], data);
  });
  const run = (raster: Raster, keepHidden = false) =>
    transform(
      raster,
      {
        routed: { operation: { model: 'm' }, model, version: '1', contract, parameters: {} },
        shapes: PLAN_TABLE.whole.shapes(contract, raster),
      },
      {
        ...{
          models,
          predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
          priority: 'batch',
          codec: atOnce,
          keepHidden,
        },
        schedule: ({ shape }, task) => task(shape, { apart: false, copies: 1 }),
        signal: new AbortController().signal,
      },
    );
  return { sent, run };
}

/** Sees three pixels far, tints what it sees, and enlarges it. */
const blurring = (scale: number) =>
  modelOf(
    async (rgb, width, height) => {
      const picture = await sharp(rgb, { raw: { width, height, channels: 3 } })
        .blur(1.5)
        .raw()
        .toBuffer();
      const tinted = picture.map((value, i) => (i % 3 === 0 ? Math.min(255, value + 30) : value));
      return sharp(tinted, { raw: { width, height, channels: 3 } })
        .resize(width * scale, height * scale, { kernel: 'nearest' })
        .raw()
        .toBuffer();
    },
    scale,
    'image',
  );

function pictureOf(
  alphaAt: (x: number, y: number) => number,
  visible: (x: number, y: number) => Colour,
  hidden: Colour,
): Raster & { alpha: Buffer } {
  const alpha = Buffer.alloc(SIDE * SIDE);
  const rgb = Buffer.alloc(SIDE * SIDE * 3);
  for (let i = 0; i < alpha.length; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    alpha[i] = alphaAt(x, y);
    Buffer.from(alpha[i] === 0 ? hidden : visible(x, y)).copy(rgb, i * 3);
  }
  return { width: SIDE, height: SIDE, rgb, alpha };
}

const disc = (x: number, y: number) => Math.max(0, Math.min(255, Math.round((14 - Math.hypot(x - 20, y - 20)) * 120)));
const box = (x: number, y: number) => (x > 9 && x < 30 && y > 4 && y < 36 ? 255 : 0);
const frame = (x: number, y: number) => (x < 4 || y < 4 ? 190 : 0);
const HIDDEN: readonly Colour[] = [
  [0, 0, 0],
  [255, 255, 255],
  [0, 255, 0],
];
const LOGOS = [
  ['a disc', disc, () => [250, 20, 10]],
  ['a box of two colours', box, (x: number) => (x < 20 ? [250, 20, 10] : [10, 40, 200])],
  ['a half transparent corner', frame, (x: number, y: number) => [x * 6, y * 6, 90]],
] as unknown as readonly [string, typeof disc, (x: number, y: number) => Colour][];

describe.each(LOGOS)('of %s', (_name, alphaAt, colourAt) => {
  it.each([1, 4])('what is hidden changes nothing at scale %i, and no file holds it', async (scale) => {
    const files = new Map<string, Buffer[]>();
    for (const hidden of HIDDEN) {
      const { raster } = await blurring(scale).run(pictureOf(alphaAt, colourAt, hidden));
      for (const format of ['png', 'webp', 'avif'] as const) {
        const pixels = { ...raster, channels: 3, data: Buffer.from(raster.rgb) } as const;
        const { bytes } = await encode(pixels, { format: FORMATS[format], size: raster });
        files.set(format, [...(files.get(format) ?? []), bytes]);
      }
    }
    for (const [first = expect.fail(), ...others] of files.values()) {
      for (const other of others) expect(other).toEqual(first);
    }
    const { data } = await sharp(files.get('png')?.[0]).raw().toBuffer({ resolveWithObject: true });
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 0) expect(data.readUIntBE(i, 3)).toBe(0);
  });

  it.each(['png', 'webp', 'avif'] as const)('what is hidden is kept in %s if that is asked for', async (format) => {
    const { raster } = await modelOf((rgb) => rgb, 1, 'image').run(pictureOf(alphaAt, colourAt, [0, 200, 0]), true);
    const pixels = { ...raster, channels: 3, data: raster.rgb } as const;
    const { bytes } = await encode(pixels, { format: FORMATS[format], size: raster, keepHidden: true, quality: 100 });
    const { data } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    const at = (SIDE * SIDE - 1) * 4;
    [0, 200, 0, 0].forEach((value, c) => expect(Math.abs((data[at + c] ?? NaN) - value)).toBeLessThan(6));
  });

  it('a model that finds the subject sees where it ends, and not what is hidden', async () => {
    const cuts = HIDDEN.map(async (hidden) => {
      const { sent, run } = modelOf((_rgb, width, height) => Buffer.alloc(width * height, 255), 1, 'mask');
      const { raster } = await run(pictureOf(alphaAt, colourAt, hidden));
      const { alpha } = pictureOf(alphaAt, colourAt, hidden);
      expect(raster.alpha).toEqual(alpha);
      for (const [i, value] of alpha.entries()) {
        if (value > 0)
          expect(raster.rgb.readUIntBE(i * 3, 3)).toBe(
            Buffer.from(colourAt(i % SIDE, Math.floor(i / SIDE))).readUIntBE(0, 3),
          );
      }
      return sent[0];
    });
    const [first = expect.fail(), ...others] = await Promise.all(cuts);
    for (const other of others) expect(other).toEqual(first);
    expect([0, 0xffffff]).toContain(first.readUIntBE((SIDE * SIDE - 1) * 3, 3));
  });
});

describe('a grey picture', () => {
  const stripes = (x: number, y: number): Colour => {
    const value = (x * 7 + (y >> 2) * 50) % 256;
    return [value, value, value];
  };
  const KINDS: readonly [string, Raster][] = [
    ['opaque', { width: SIDE, height: SIDE, rgb: pictureOf(() => 255, stripes, [0, 0, 0]).rgb }],
    ['transparent over a hidden colour', pictureOf(disc, stripes, [200, 0, 0])],
    ['half transparent', pictureOf(() => 77, stripes, [0, 0, 0])],
  ];

  it.each(KINDS)('that is %s stays grey, and is written as grey where the format can', async (_name, picture) => {
    expect(await isGrey(picture)).toBe(true);
    for (const scale of [1, 2]) {
      const { raster } = await blurring(scale).run({ ...picture, rgb: Buffer.from(picture.rgb), grey: true });
      expect(raster.grey).toBe(true);
      for (let i = 0; i < raster.rgb.length; i += 3) {
        const [red, green, blue] = raster.rgb.subarray(i, i + 3);
        if (red !== green || red !== blue) expect.fail(`${red}, ${green}, ${blue}`);
      }
      const pixels = () => ({ ...raster, channels: 3, data: Buffer.from(raster.rgb), grey: true }) as const;
      const look = async (options: object, name: 'png' | 'jpeg') => {
        const { bytes } = await encode(pixels(), { format: FORMATS[name], size: raster, ...options });
        return {
          ...(await sharp(bytes).metadata()),
          pixels: await sharp(bytes).toColourspace('srgb').raw().toBuffer(),
        };
      };
      const seen = await look({}, 'png');
      expect(seen).toMatchObject({ space: 'b-w', channels: raster.alpha ? 2 : 1 });
      const { alpha } = raster;
      const step = alpha ? 4 : 3;
      for (let i = 0; i < raster.rgb.length / 3; i++) {
        if (alpha?.[i] !== 0) expect(seen.pixels[i * step]).toBe(raster.rgb[i * 3]);
      }
      expect(await look({ background: '#808080' }, 'jpeg')).toMatchObject({ channels: 1 });
      expect(await look({ background: '#808080', metadata: {} }, 'png')).toMatchObject({ channels: 1 });
      expect(await look({ metadata: {} }, 'png')).toMatchObject({ channels: raster.alpha ? 2 : 1 });
      // A coloured ground shows through, if anything does.
      expect(await look({ background: '#ff0000' }, 'jpeg')).toMatchObject({ channels: raster.alpha ? 3 : 1 });
      const small = { size: { width: 20, height: 20 } };
      expect(await look(small, 'png')).toMatchObject({ channels: raster.alpha ? 2 : 1, width: 20 });
    }
  });

  it.each<[string, Raster, boolean]>([
    [
      'of one coloured pixel',
      pictureOf(
        () => 255,
        (x, y) => (x === 39 && y === 39 ? [9, 9, 10] : stripes(x, y)),
        [0, 0, 0],
      ),
      false,
    ],
    ['whose hidden pixels have a colour', pictureOf(box, stripes, [9, 200, 0]), true],
    [
      'whose faint pixels have a colour',
      pictureOf(
        (x, y) => Math.max(1, box(x, y)),
        (x, y) => (box(x, y) ? stripes(x, y) : [9, 9, 0]),
        [0, 0, 0],
      ),
      false,
    ],
  ])('is told from one %s', async (_name, picture, grey) => expect(await isGrey(picture)).toBe(grey));
});

it.each([true, false])(
  'colours that are hidden count for grey only if they are kept: keepHidden %s',
  async (keepHidden) => {
    const { width, height, rgb, alpha } = pictureOf(box, () => [90, 90, 90], [200, 30, 30]);
    const bytes = await sharp(rgb, { raw: { width, height, channels: 3 } })
      .joinChannel(alpha, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer();
    const state = {
      ...{ bytes, header: await readHeader(bytes, { maxPixels: 1e6 }), codec: atOnce },
      ...{ job: { output: { keepHidden } }, context: { warnings: [] }, options: {} },
    } as unknown as JobState;
    await decodeStep.run(state);
    expect(state.raster.grey).toBe(keepHidden ? undefined : true);
  },
);

describe('an answer that cannot be right', () => {
  const photo = pictureOf(
    () => 255,
    (x, y) => [x * 6, y * 6, (x * y) % 256],
    [0, 0, 0],
  );
  const even = pictureOf(
    () => 255,
    () => [20, 30, 40],
    [0, 0, 0],
  );

  it.each<[string, number, 'image' | 'mask']>([
    ['black', 0, 'image'],
    ['white', 255, 'image'],
    ['a mask of one value', 90, 'mask'],
  ])('is refused: %s', async (_name, value, output) => {
    const { run } = modelOf(
      (_rgb, width, height) => Buffer.alloc(width * height * (output === 'mask' ? 1 : 3), value),
      1,
      output,
    );
    await expect(run(photo)).rejects.toMatchObject({ code: 'MODEL_OUTPUT_INVALID' });
    expect(await run(even)).toHaveProperty('raster');
  });

  it('is not an empty mask', async () => {
    const { run } = modelOf((_rgb, width, height) => Buffer.alloc(width * height), 1, 'mask');
    expect((await run(photo)).raster.alpha?.every((value) => value === 0)).toBe(true);
  });
});
