import { describe, expect, it } from 'vitest';
import type { Raster, Size } from '../../../src/domain/raster.js';
import type { VersionContract } from '../../../src/domain/contract.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { fittedSide, layOut, tile } from '../../../src/pipeline/plans/tile.js';
import { whole } from '../../../src/pipeline/plans/whole.js';
import { cutWindow } from '../../../src/pipeline/plans/window.js';
import type { Send } from '../../../src/pipeline/plans/plan.js';
import { createTensor } from '../../../src/domain/tensor.js';

function noise(width: number, height: number): Raster {
  let state = 42;
  const rgb = Buffer.alloc(width * height * 3);
  for (let i = 0; i < rgb.length; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    rgb[i] = state >> 16;
  }
  return { width, height, rgb };
}

const cases = [1, 7, 63, 64, 65, 100, 127, 128, 129, 1000].flatMap((length) =>
  [0, 1, 18, 31].map((margin) => [length, margin] as const),
);

describe('layOut', () => {
  it.each(cases)('covers %i pixels once, with a margin of %i', (length, margin) => {
    const side = 64;
    const spans = layOut(length, side, margin);
    expect(spans[0]?.from).toBe(0);
    expect(spans.at(-1)?.to).toBe(length);
    spans.forEach((span, i) => {
      expect(span.to).toBeGreaterThan(span.from);
      const next = spans[i + 1];
      if (next) {
        expect(next.from).toBe(span.to);
        expect(span.start + side - span.to).toBeGreaterThanOrEqual(margin);
        expect(next.from - next.start).toBeGreaterThanOrEqual(margin);
      }
      if (length > side) expect(span.start + side).toBeLessThanOrEqual(length);
    });
    expect(spans.at(-1)?.start).toBe(Math.max(0, length - side));
  });
});

describe('fittedSide', () => {
  it.each(cases)('needs no more windows for %i pixels with a margin of %i, and none larger', (length, margin) => {
    const side = fittedSide(length, 64, margin);
    expect(side).toBeLessThanOrEqual(64);
    expect(layOut(length, side, margin).length).toBe(layOut(length, 64, margin).length);
    // One grain less would need more windows, or there is only one.
    if (length > 64) {
      const shorter = side - 8;
      expect(shorter <= 2 * margin || layOut(length, shorter, margin).length > layOut(length, 64, margin).length).toBe(
        true,
      );
    }
  });
});

describe('cutWindow', () => {
  const pixel = ({ width, rgb }: Raster, x: number, y: number) => [...rgb.subarray((y * width + x) * 3).subarray(0, 3)];

  it('repeats the last row and column beyond the end', () => {
    const image = noise(3, 2);
    const cut = cutWindow(image, 0, 0, { width: 4, height: 5 }, 0);
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 4; x++) expect(pixel(cut, x, y)).toEqual(pixel(image, Math.min(x, 2), Math.min(y, 1)));
  });

  it.each([
    ['a border that is smaller than the image', 4, 3, [0, 1, 2, 3, 3, 2, 1, 1, 1]],
    ['a border that is larger', 2, 6, [0, 1, 1, 0, 0, 1, 1, 0, 0, 0]],
    ['one pixel', 1, 3, [0, 0, 0, 0, 0]],
  ])('mirrors %s, and then repeats', (_name, length, border, wanted) => {
    const row = noise(length, 1);
    const across = cutWindow(row, 0, 0, { width: wanted.length, height: 1 }, border);
    expect(wanted.map((_, x) => pixel(across, x, 0))).toEqual(wanted.map((x) => pixel(row, x, 0)));
    const column = noise(1, length);
    const down = cutWindow(column, 0, 0, { width: 1, height: wanted.length }, border);
    expect(wanted.map((_, y) => pixel(down, 0, y))).toEqual(wanted.map((y) => pixel(column, 0, y)));
  });
});

const contractOf = (plans: VersionContract['plans']): VersionContract => ({
  ...contract(1, plans),
  maxWholePixels: 1e6,
});
const contract = (scale: number, plans: VersionContract['plans'] = ['tile']): VersionContract => ({
  plans,
  tileSizes: [32],
  margin: 5,
  border: 'pad',
  seamTolerance: 0,
  maxWholePixels: 1,
  fitMode: 'letterbox',
  fitFill: [0, 0, 0],
  scale,
  parameters: {},
});

/**
 * A model like a convolutional network: each pixel is the sum of those around it, and beyond its input there is nothing.
 */
const RADIUS = 5;
const sumsAround: (window?: Size) => Send = (grown) => async (cut, paste) => {
  const view = await cut(grown ?? { width: 0, height: 0 });
  const data = Buffer.alloc(view.rgb.length);
  for (let y = 0; y < view.height; y++)
    for (let x = 0; x < view.width; x++) {
      let sum = 0;
      for (let v = Math.max(0, y - RADIUS); v <= Math.min(view.height - 1, y + RADIUS); v++)
        for (let u = Math.max(0, x - RADIUS); u <= Math.min(view.width - 1, x + RADIUS); u++)
          sum += (view.rgb[(v * view.width + u) * 3] ?? 0) * (u - x + 2 * (v - y));
      data.writeUIntBE(Math.abs(sum) & 0xffffff, (y * view.width + x) * 3, 3);
    }
  paste(createTensor('image', 'UINT8', [view.height, view.width, 3], data), view);
};

describe('one picture', () => {
  const both = contractOf(['tile', 'whole']);
  const sent = async (
    image: Raster,
    of: VersionContract,
    plan: 'tile' | 'whole',
    grow: Size = { width: 0, height: 0 },
  ) => {
    const [shape] = (plan === 'tile' ? tile : whole).shapes(of, image);
    if (!shape) throw new Error('no shape');
    const window = { width: shape.width + grow.width, height: shape.height + grow.height };
    return (await (plan === 'tile' ? tile : whole).execute(image, shape, of, 3, sumsAround(window), atOnce)).data;
  };

  it.each([
    [1, 1],
    [4, 9],
    [31, 33],
    [32, 48],
    [64, 27],
    [90, 71],
  ])('of %i x %i comes out the same alone, beside any other, and in tiles of any kind', async (width, height) => {
    const image = noise(width, height);
    const alone = await sent(image, both, 'whole');
    for (const grow of [1, 6, 40]) {
      expect(await sent(image, both, 'whole', { width: grow, height: 0 })).toEqual(alone);
      expect(await sent(image, both, 'whole', { width: 3, height: grow })).toEqual(alone);
    }
    for (const side of [16, 32, 48]) {
      expect(await sent(image, { ...both, tileSizes: [side] }, 'tile')).toEqual(alone);
      expect(await sent(image, { ...contractOf(['tile']), tileSizes: [side] }, 'tile')).toEqual(alone);
    }
  });

  it('would come out otherwise without the border', async () => {
    const image = noise(31, 33);
    const bare = { ...both, border: 'repeat' } as const;
    expect(await sent(image, bare, 'whole', { width: 9, height: 9 })).not.toEqual(await sent(image, bare, 'whole'));
  });

  it.each<[string, Partial<VersionContract>]>([
    ['its model repeats the border itself', { border: 'repeat' }],
    ['its model sees farther than its margin', { seamTolerance: 2 }],
    ['its model permits no tiles', { plans: ['whole'] }],
  ])('is sent as it is where %s', (_name, more) => {
    expect(whole.shapes({ ...both, ...more }, { width: 20, height: 10 })).toMatchObject([{ width: 20, height: 10 }]);
  });
});

/** A model that enlarges by repetition and, to prove that margins are thrown away, spoils everything in them. */
const enlarge =
  (scale: number, spoil: number, size: Size, window: Size): Send =>
  async (cut, paste) => {
    const view = await cut(window);
    const [side, rows] = [view.width * scale, view.height * scale];
    const data = Buffer.alloc(side * rows * 3);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < side; x++) {
        const [ix, iy] = [Math.floor(x / scale), Math.floor(y / scale)];
        const nearCut =
          (ix < spoil && view.x > 0) ||
          (iy < spoil && view.y > 0) ||
          (ix >= view.width - spoil && view.x + view.width < size.width) ||
          (iy >= view.height - spoil && view.y + view.height < size.height);
        for (let c = 0; c < 3; c++) {
          data[(y * side + x) * 3 + c] = nearCut ? 0 : (view.rgb[(iy * view.width + ix) * 3 + c] ?? 0);
        }
      }
    }
    paste(createTensor('image', 'UINT8', [rows, side, 3], data), window);
  };

describe.each<[string, VersionContract['plans']]>([
  ['of fixed shape', ['tile']],
  ['made to measure', ['tile', 'whole']],
])('tiles %s', (_name, plans) => {
  it.each([
    [32, 32, 1],
    [33, 32, 1],
    [100, 77, 1],
    [100, 77, 2],
    [5, 90, 1],
    [1, 1, 4],
  ])('put a %i x %i picture together at scale %i so that no margin shows', async (width, height, scale) => {
    const image = noise(width, height);
    const [shape] = tile.shapes(contract(scale, plans), image);
    if (!shape) throw new Error('no shape');
    expect(Math.max(shape.width, shape.height)).toBeLessThanOrEqual(32);
    let sent = 0;
    const send = enlarge(scale, 5, image, shape);
    const counted: Send = (cut, paste) => {
      sent++;
      return send(cut, paste);
    };
    const result = await tile.execute(image, shape, contract(scale), 3, counted, atOnce);
    expect(sent).toBe(shape.requests);
    expect([result.width, result.height]).toEqual([width * scale, height * scale]);
    for (let y = 0; y < result.height; y++) {
      for (let x = 0; x < result.width; x++) {
        const source = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
        expect(result.data[(y * result.width + x) * 3]).toBe(image.rgb[source]);
      }
    }
  });
});

describe('whole', () => {
  it.each([
    [20, 10, 20, 10, 1],
    [20, 10, 33, 10, 1],
    [20, 10, 20, 17, 3],
    [1, 1, 9, 5, 2],
  ])('brings a %i x %i picture back out of a window of %i x %i at scale %i', async (width, height, w, h, scale) => {
    const image = noise(width, height);
    const shape = { plan: 'whole', width, height, requests: 1 } as const;
    const send = enlarge(scale, 0, image, { width: w, height: h });
    const result = await whole.execute(image, shape, contract(scale), 3, send, atOnce);
    expect([result.width, result.height]).toEqual([width * scale, height * scale]);
    for (let y = 0; y < result.height; y++) {
      for (let x = 0; x < result.width; x++) {
        const source = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
        expect(result.data[(y * result.width + x) * 3]).toBe(image.rgb[source]);
      }
    }
  });
});
