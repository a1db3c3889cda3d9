/** Kinds of TIFF and GIF: what is read comes out to the level, what is damaged or of another kind does not pass. */
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { attempt, distance } from '../../../scripts/lab/damage/judge.js';
import { JobError } from '../../../src/domain/errors.js';
import { warning } from '../../../src/domain/warnings.js';
import { adobeRgbProfile, cmykProfile } from '../../support/icc.js';
import { gif, type GifFrame, tiff, type TiffOptions } from '../../support/tiff.js';

type Pixel = readonly [number, number, number, number];
const SIZE = { width: 37, height: 21 };
const at = (x: number, y: number): readonly [number, number, number] => [(x * 6) & 255, (y * 11) & 255, (x * y) & 255];
const light = (x: number, y: number) => (x * 6 + y) & 255;
const bit = (x: number, y: number) => ((x * y) >> 2) & 1;
const alphaAt = (x: number) => 255 - x * 6;
const opaque = ([r, g, b]: readonly [number, number, number]): Pixel => [r, g, b, 255];
const greyOf = (value: number): Pixel => [value, value, value, 255];
const deep = (values: readonly number[]) => values.map((value) => value * 257);
const rgb: TiffOptions = { ...SIZE, pixel: at, photometric: 2 };
const PALETTE = Array.from({ length: 16 }, (_, i) => at(i * 2, i));
const colourMap = {
  tag: 320,
  values: [0, 1, 2].flatMap((c) => PALETTE.map((colour) => (colour[c] ?? 0) * 257)),
};
const extra = (kind: number) => ({ tag: 338, values: [kind] });
const BITS = warning('bits');
const frames = (count: number) => warning('frames', { count });

async function decoded(bytes: Buffer) {
  const found = await attempt(bytes);
  if (found instanceof JobError) throw found;
  return found;
}

/** @param within levels, of colours that are visible, and of alpha */
async function mustBe(bytes: Buffer, wanted: (x: number, y: number) => Pixel, within: number, warnings: string[] = []) {
  const { raster, warnings: given } = await decoded(bytes);
  const { width, height, alpha } = raster;
  expect(given).toEqual(warnings);
  let worst = 0;
  for (let i = 0; i < width * height; i++) {
    const [r, g, b, a] = wanted(i % width, Math.floor(i / width));
    worst = Math.max(worst, Math.abs((alpha?.[i] ?? 255) - a));
    if (a > 0) [r, g, b].forEach((v, c) => (worst = Math.max(worst, Math.abs((raster.rgb[i * 3 + c] ?? NaN) - v))));
  }
  expect(worst).toBeLessThanOrEqual(within);
  return raster;
}

type Read = readonly [TiffOptions, (x: number, y: number) => Pixel, within?: number, warnings?: string[]];
const READ: Readonly<Record<string, Read>> = {
  RGB: [rgb, (x, y) => opaque(at(x, y))],
  'RGB, big-endian': [{ ...rgb, order: 'MM' }, (x, y) => opaque(at(x, y))],
  BigTIFF: [{ ...rgb, big: true }, (x, y) => opaque(at(x, y))],
  'BigTIFF, big-endian': [{ ...rgb, big: true, order: 'MM', rowsPerStrip: 4 }, (x, y) => opaque(at(x, y))],
  'strips of 4 rows': [{ ...rgb, rowsPerStrip: 4 }, (x, y) => opaque(at(x, y))],
  'strips of 4 rows, PackBits': [{ ...rgb, rowsPerStrip: 4, pack: 'packBits' }, (x, y) => opaque(at(x, y))],
  'strips of 4 rows, deflate': [{ ...rgb, rowsPerStrip: 4, pack: 'deflate' }, (x, y) => opaque(at(x, y))],
  'tiles of 16': [{ ...rgb, tile: 16 }, (x, y) => opaque(at(x, y))],
  'tiles of 16, deflate': [{ ...rgb, tile: 16, pack: 'deflate' }, (x, y) => opaque(at(x, y))],
  'each channel apart': [{ ...rgb, planar: true, rowsPerStrip: 5 }, (x, y) => opaque(at(x, y))],
  '16 bits': [{ ...rgb, bits: 16, pixel: (x, y) => deep(at(x, y)) }, (x, y) => opaque(at(x, y)), 0, [BITS]],
  '16 bits, big-endian': [
    { ...rgb, bits: 16, order: 'MM', pixel: (x, y) => deep(at(x, y)), pack: 'deflate' },
    (x, y) => opaque(at(x, y)),
    0,
    [BITS],
  ],
  grey: [{ ...rgb, pixel: (x, y) => [light(x, y)], photometric: 1 }, (x, y) => greyOf(light(x, y))],
  'grey, white is 0': [{ ...rgb, pixel: (x, y) => [light(x, y)], photometric: 0 }, (x, y) => greyOf(255 - light(x, y))],
  'grey of 16 bits': [
    { ...rgb, bits: 16, pixel: (x, y) => deep([light(x, y)]), photometric: 1 },
    (x, y) => greyOf(light(x, y)),
    0,
    [BITS],
  ],
  'grey of 4 bits': [
    { ...rgb, bits: 4, pixel: (x, y) => [light(x, y) >> 4], photometric: 1 },
    (x, y) => greyOf((light(x, y) >> 4) * 17),
  ],
  bilevel: [{ ...rgb, bits: 1, pixel: (x, y) => [bit(x, y)], photometric: 1 }, (x, y) => greyOf(bit(x, y) * 255)],
  'bilevel, white is 0': [
    { ...rgb, bits: 1, pixel: (x, y) => [bit(x, y)], photometric: 0 },
    (x, y) => greyOf(255 - bit(x, y) * 255),
  ],
  'palette of 4 bits': [
    { ...rgb, bits: 4, pixel: (x, y) => [(x + y) % 16], photometric: 3, tags: [colourMap] },
    (x, y) => opaque(PALETTE[(x + y) % 16] ?? [0, 0, 0]),
  ],
  'alpha, unassociated': [
    { ...rgb, pixel: (x, y) => [...at(x, y), alphaAt(x)], tags: [extra(2)] },
    (x, y) => [...at(x, y), alphaAt(x)],
  ],
  'alpha, unspecified': [
    { ...rgb, pixel: (x, y) => [...at(x, y), alphaAt(x)], tags: [extra(0)], pack: 'packBits' },
    (x, y) => [...at(x, y), alphaAt(x)],
  ],
  // A colour that was multiplied by alpha is known to 255 / alpha levels.
  'alpha, associated': [
    {
      ...{ ...rgb, tags: [extra(1)] },
      pixel: (x, y) => [...at(x, y).map((v) => Math.round((v * alphaAt(x)) / 255)), alphaAt(x)],
    },
    (x, y) => [...at(x, y), alphaAt(x)],
    255 / alphaAt(SIZE.width - 1),
  ],
  'grey and alpha': [
    { ...rgb, pixel: (x, y) => [light(x, y), alphaAt(x)], photometric: 1, tags: [extra(2)] },
    (x, y) => [light(x, y), light(x, y), light(x, y), alphaAt(x)],
  ],
  'several pages': [{ ...rgb, pages: 3 }, (x, y) => opaque(at(x, y)), 0, [frames(3)]],
  'a thousand pages': [{ ...rgb, pages: 1_000, order: 'MM' }, (x, y) => opaque(at(x, y)), 0, [frames(1_000)]],
  'upside down': [
    { ...rgb, tags: [{ tag: 274, values: [3] }] },
    (x, y) => opaque(at(SIZE.width - 1 - x, SIZE.height - 1 - y)),
  ],
  turned: [{ ...rgb, tags: [{ tag: 274, values: [6] }] }, (x, y) => opaque(at(y, SIZE.height - 1 - x))],
};

describe('a TIFF', () => {
  it.each(Object.entries(READ))('is read: %s', async (_name, [options, wanted, within = 0, warnings = []]) => {
    await mustBe(tiff(options), wanted, within, warnings);
  });

  it.each(['lzw', 'jpeg', 'deflate', 'packbits', 'none'] as const)(
    'is read as other encoders write it: %s',
    async (compression) => {
      const raw = Buffer.from(Array.from({ length: 60 * 50 }, (_, i) => at(i % 60, Math.floor(i / 60))).flat());
      const picture = () => sharp(raw, { raw: { width: 60, height: 50, channels: 3 } });
      for (const options of [
        {},
        { tile: true, tileWidth: 32, tileHeight: 16 },
        { bigtiff: true, predictor: 'none' },
      ] as const) {
        const bytes = await picture()
          .tiff({ compression, quality: 100, ...options })
          .toBuffer();
        await mustBe(bytes, (x, y) => opaque(at(x, y)), compression === 'jpeg' ? 60 : 0);
      }
    },
  );

  it('is read with the colours of its profile', async () => {
    const icc = adobeRgbProfile();
    const tags = [{ tag: 34_675, type: 'byte', values: [...icc] }] as const;
    const { raster } = await decoded(tiff({ ...rgb, pixel: () => [0, 200, 90], tags }));
    expect([...raster.rgb.subarray(0, 3)]).not.toEqual([0, 200, 90]);
    const inks = cmykProfile((channels) => (channels & 8 ? [0, 0, 0] : [100, 0, 0]));
    const printed = tiff({
      ...{ ...rgb, pixel: () => [255, 0, 0, 0], photometric: 5 },
      tags: [{ tag: 34_675, type: 'byte', values: [...inks] }],
    });
    const { raster: black } = await decoded(printed);
    black.rgb.subarray(0, 3).forEach((value) => expect(value).toBeLessThan(12));
  });

  it.each<[string, number, number, number | undefined]>([
    ['inches', 2, 300, 300],
    ['centimetres', 3, 118, 300],
    ['no unit', 1, 300, undefined],
  ])('states its resolution in %s', async (_name, unit, value, density) => {
    const tags = [
      { tag: 282, type: 'rational', values: [value, 1] },
      { tag: 283, type: 'rational', values: [value, 1] },
      { tag: 296, values: [unit] },
    ] as const;
    expect((await decoded(tiff({ ...rgb, tags }))).metadata.density).toBe(density);
  });

  it('does not count thumbnails as pages', async () => {
    const bytes = tiff({ ...rgb, pages: 2, tags: [{ tag: 254, type: 'long', values: [1] }] });
    expect((await decoded(bytes)).warnings).toEqual([]);
  });

  it.each<[string, TiffOptions, RegExp]>([
    ['Lab', { ...rgb, photometric: 8 }, /Lab colours/],
    ['a raw picture', { ...rgb, photometric: 32_803, pixel: () => [1] }, /camera's raw picture/],
    ['fractional numbers', { ...rgb, tags: [{ tag: 339, values: [3, 3, 3] }] }, /fractional numbers/],
    ['signed numbers', { ...rgb, tags: [{ tag: 339, values: [2, 2, 2] }] }, /signed/],
    ['WebP within', { ...rgb, tags: [{ tag: 259, values: [50_001] }] }, /WebP/],
    ['old JPEG within', { ...rgb, tags: [{ tag: 259, values: [6] }] }, /JPEG of before/],
    ['a fax of group 3', { ...rgb, tags: [{ tag: 259, values: [3] }] }, /group 3/],
    ['YCbCr without JPEG', { ...rgb, photometric: 6 }, /YCbCr/],
    ['two channels more', { ...rgb, pixel: () => [1, 2, 3, 4, 5], tags: [extra(2)] }, /more than one channel/],
    ['tiles for each channel apart', { ...rgb, tile: 16, planar: true }, /tiles for each channel/],
    ['spot inks', { ...rgb, photometric: 5, pixel: () => [1, 2, 3, 4], tags: [{ tag: 332, values: [2] }] }, /inks/],
    ['12 bits', { ...rgb, tags: [{ tag: 258, values: [12, 12, 12] }] }, /12 bits/],
  ])('is refused by name: %s', async (_name, options, words) => {
    const end = await attempt(tiff(options));
    expect(end).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    expect((end as JobError).message).toMatch(words);
  });

  const cut = (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1);
  it.each<[string, TiffOptions]>([
    ['a strip shorter than its rows', { ...rgb, spoil: (one) => one.subarray(1) }],
    ['a strip that is cut, deflate', { ...rgb, pack: 'deflate', spoil: cut }],
    ['a strip that is cut, PackBits', { ...rgb, pack: 'packBits', spoil: cut }],
    ['a strip of another, deflate', { ...rgb, pack: 'deflate', rowsPerStrip: 4, tags: [{ tag: 278, values: [5] }] }],
    [
      'a strip with a byte changed, deflate',
      { ...rgb, pack: 'deflate', spoil: (one) => changed(one, one.length >> 1) },
    ],
    ['a strip too many rows long, PackBits', { ...rgb, pack: 'packBits', spoil: (one) => Buffer.concat([one, one]) }],
    ['strips that are missing', { ...rgb, rowsPerStrip: 4, tags: [{ tag: 278, values: [1] }] }],
    ['a strip outside of the file', { ...rgb, tags: [{ tag: 273, type: 'long', values: [1_000_000] }] }],
    ['no colours', { ...rgb, pixel: () => [1] }],
    [
      'a palette of another size',
      { ...rgb, pixel: () => [1], photometric: 3, tags: [{ tag: 320, values: [1, 2, 3] }] },
    ],
    ['no width', { ...rgb, tags: [{ tag: 256, values: [0] }] }],
    ['tiles of 5', { ...rgb, tile: 16, tags: [{ tag: 322, values: [5] }] }],
  ])('is refused as damaged: %s', async (_name, options) => {
    expect(await attempt(tiff(options))).toMatchObject({ code: 'INPUT_CORRUPT' });
  });

  it.each(['lzw', 'ccittfax4', 'jpeg'] as const)(
    'is refused wherever %s data of it are zeros, or lost',
    async (compression) => {
      const noise = Buffer.from(Array.from({ length: 80 * 60 }, (_, i) => ((i * 2_654_435_761) >>> 13) & 255));
      const picture = sharp(noise, { raw: { width: 80, height: 60, channels: 1 } }).toColourspace('b-w');
      const options = compression === 'ccittfax4' ? ({ bitdepth: 1, predictor: 'none' } as const) : {};
      const bytes = await picture.tiff({ compression, ...options }).toBuffer();
      const whole = await decoded(bytes);
      for (const part of [0.3, 0.5, 0.7]) {
        const from = Math.floor(bytes.length * part);
        const zeros = Buffer.from(bytes).fill(0, from, from + 40);
        const lost = Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 40), Buffer.alloc(40)]);
        for (const one of [zeros, lost]) {
          const end = await attempt(one);
          if (!(end instanceof JobError)) expect(distance(end, whole)).toBeLessThanOrEqual(1);
          else expect(end.code).toBe('INPUT_CORRUPT');
        }
        expect(await attempt(zeros)).toMatchObject({ code: 'INPUT_CORRUPT' });
      }
    },
  );

  it('is read where its bits are stored from the lowest on', async () => {
    const reversed = (one: Buffer) =>
      Buffer.from(one.map((byte) => parseInt(Array.from(byte.toString(2).padStart(8, '0')).reverse().join(''), 2)));
    const options: TiffOptions = { ...rgb, pack: 'packBits', spoil: reversed, tags: [{ tag: 266, values: [2] }] };
    await mustBe(tiff(options), (x, y) => opaque(at(x, y)), 0);
  });
});

function changed(bytes: Buffer, i: number): Buffer {
  const other = Buffer.from(bytes);
  other[i] = (other[i] ?? 0) ^ 0xff;
  return other;
}

const COLOURS: readonly Pixel[] = [
  [0, 0, 0, 255],
  [255, 0, 0, 255],
  [0, 255, 0, 255],
  [0, 0, 255, 255],
];
const NOTHING: Pixel = [0, 0, 0, 0];
const index = (x: number, y: number) => (x + y * 3) % 4;
const full: GifFrame = { ...SIZE, pixel: index };
const canvas = [SIZE.width, SIZE.height] as const;
const colourOf = (i: number): Pixel => COLOURS[i] ?? NOTHING;
const inside = (x: number, y: number) => x >= 5 && y >= 3 && x < 25 && y < 13;

describe('a GIF', () => {
  it.each<[string, Buffer, (x: number, y: number) => Pixel, string[]]>([
    ['of one frame', gif(canvas, [full]), (x, y) => colourOf(index(x, y)), []],
    ['interlaced', gif(canvas, [{ ...full, interlaced: true }]), (x, y) => colourOf(index(x, y)), []],
    [
      'with a local palette',
      gif(canvas, [{ ...full, palette: [9, 9, 9, 0, 0, 255, 0, 255, 0, 255, 0, 0] }], []),
      (x, y) =>
        [[9, 9, 9, 255] as const, [0, 0, 255, 255] as const, [0, 255, 0, 255] as const, [255, 0, 0, 255] as const][
          index(x, y)
        ] ?? NOTHING,
      [],
    ],
    [
      'transparent',
      gif(canvas, [{ ...full, transparent: 2 }]),
      (x, y) => (index(x, y) === 2 ? NOTHING : colourOf(index(x, y))),
      [],
    ],
    [
      'smaller than its canvas',
      gif(canvas, [{ ...full, left: 5, top: 3, width: 20, height: 10 }]),
      (x, y) => (inside(x, y) ? colourOf(index(x - 5, y - 3)) : NOTHING),
      [],
    ],
    [
      'on a canvas of 640 x 480, which libnsgif does not believe',
      gif([640, 480], [{ ...full, left: 5, top: 3, width: 20, height: 10 }]),
      (x, y) => (inside(x, y) ? colourOf(index(x - 5, y - 3)) : NOTHING),
      [],
    ],
    [
      'smaller than its canvas, and transparent',
      gif(canvas, [{ ...full, left: 5, top: 3, width: 20, height: 10, transparent: 1 }]),
      (x, y) => (inside(x, y) && index(x - 5, y - 3) !== 1 ? colourOf(index(x - 5, y - 3)) : NOTHING),
      [],
    ],
    [
      'animated',
      gif(canvas, [full, { ...full, pixel: () => 1, transparent: 0 }, full]),
      (x, y) => colourOf(index(x, y)),
      [frames(3)],
    ],
    [
      'of 10,000 frames',
      gif(canvas, [full, ...Array<GifFrame>(9_999).fill({ width: 1, height: 1, pixel: () => 0 })]),
      (x, y) => colourOf(index(x, y)),
      [frames(10_000)],
    ],
    ['without a trailer', gif(canvas, [full]).subarray(0, -1), (x, y) => colourOf(index(x, y)), []],
    [
      'with bytes behind its trailer',
      Buffer.concat([gif(canvas, [full]), Buffer.alloc(50, 7)]),
      (x, y) => colourOf(index(x, y)),
      [],
    ],
  ])('is read: %s', async (_name, bytes, wanted, warnings) => {
    const { width, height } = await mustBe(bytes, wanted, 0, warnings);
    expect([width, height]).toEqual([bytes.readUInt16LE(6), bytes.readUInt16LE(8)]);
  });

  it.each([2, 5, 16, 60, 256])('is read as another encoder writes it: %i colours', async (colours) => {
    const raw = Buffer.from(Array.from({ length: 90 * 70 }, (_, i) => at(i % 90, Math.floor(i / 90))).flat());
    const picture = sharp(raw, { raw: { width: 90, height: 70, channels: 3 } });
    const bytes = await picture.gif({ colours, progressive: colours > 9 }).toBuffer();
    const { data, info } = await sharp(bytes).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    const pixel = (x: number, y: number) => [...data.subarray((y * info.width + x) * 4, (y * info.width + x) * 4 + 4)];
    await mustBe(bytes, (x, y) => pixel(x, y) as unknown as Pixel, 0);
  });

  const sound = gif(canvas, [full]);
  const dataAt = 13 + 12 + 10 + 1;
  it.each<[string, Buffer]>([
    ['cut', sound.subarray(0, sound.length >> 1)],
    ['cut in its header', sound.subarray(0, 11)],
    ['without a frame', gif(canvas, [])],
    ['with a frame of no size', gif(canvas, [{ ...full, width: 0 }])],
    ['with a row too few', withHeight(sound, SIZE.height - 1)],
    ['with a row too many', withHeight(sound, SIZE.height + 1)],
    ['with codes of 9 bits', Buffer.from(sound).fill(9, dataAt - 1, dataAt)],
    ['with codes that mean nothing', Buffer.from(sound).fill(0xff, dataAt + 5, dataAt + 60)],
    ['with zeros in its data', Buffer.from(sound).fill(0, dataAt + 30, dataAt + 90)],
  ])('is refused as damaged: %s', async (_name, bytes) => {
    expect(await attempt(bytes)).toMatchObject({ code: 'INPUT_CORRUPT' });
  });
});

/** Says that the first frame has another height. */
function withHeight(bytes: Buffer, height: number): Buffer {
  const other = Buffer.from(bytes);
  other.writeUInt16LE(height, 13 + 12 + 7);
  return other;
}
