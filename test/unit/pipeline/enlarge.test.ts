import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { enlarge } from '../../../src/pipeline/enlarge.js';
import { fit } from '../../../src/pipeline/plans/fit.js';

/** The position at which a row rises over the half, in pixels of the source; and where it falls again. */
function edges(row: readonly number[], scale: number): number[] {
  const found: number[] = [];
  for (let i = 1; i < row.length; i++) {
    const [a = 0, b = 0] = [row[i - 1], row[i]];
    if (a < 127.5 !== b < 127.5) found.push((i - 0.5 + (127.5 - a) / (b - a)) / scale);
  }
  return found;
}

describe.each([2, 3, 4, 8, 2.5])('by %f', (scale) => {
  it.each<[string, (i: number) => number, number[]]>([
    ['a hard square', (i) => (i >= 12 && i < 36 ? 255 : 0), [12, 36]],
    ['a hole', (i) => (i >= 10 && i < 20 ? 0 : 255), [10, 20]],
    ['a line of two pixels', (i) => (i === 30 || i === 31 ? 255 : 0), [30, 32]],
    ['a soft edge', (i) => Math.min(255, Math.max(0, (i - 19.5) * 51)), [22.5]],
  ])('leaves the edges of %s where they are, without a ring', async (_name, valueAt, wanted) => {
    const side = 48;
    const target = side * scale;
    const across = Buffer.from(Array.from({ length: side * side }, (_, i) => valueAt(i % side)));
    const down = Buffer.from(Array.from({ length: side * side }, (_, i) => valueAt(Math.floor(i / side))));
    const size = { width: side, height: side, channels: 1 } as const;
    for (const [data, step] of [
      [await enlarge({ ...size, data: across }, { width: target, height: target }), 1],
      [await enlarge({ ...size, data: down }, { width: target, height: target }), target],
    ] as const) {
      const row = Array.from({ length: target }, (_, i) => data[i * step] ?? 0);
      const found = edges(row, scale);
      expect(found).toHaveLength(wanted.length);
      found.forEach((edge, i) => expect(Math.abs(edge - (wanted[i] ?? NaN)) * scale).toBeLessThan(0.1));
      // Between two equal neighbours there is nothing else.
      expect(row.filter((value) => value > 0 && value < 255).length).toBeLessThanOrEqual((5 + wanted.length) * scale);
    }
  });

  it('keeps an even picture, of any number of channels', async () => {
    for (const channels of [1, 3] as const) {
      const data = Buffer.alloc(7 * 5 * channels, 113);
      const size = { width: 7 * scale, height: 5 * scale };
      const large = { width: Math.ceil(size.width), height: Math.ceil(size.height) };
      const done = await enlarge({ width: 7, height: 5, channels, data }, large);
      expect(done).toEqual(Buffer.alloc(large.width * large.height * channels, 113));
    }
  });
});

it('gives a picture of the same size as it is', async () => {
  const data = Buffer.from(Array.from({ length: 60 }, (_, i) => (i * 37) % 256));
  expect(await enlarge({ width: 5, height: 4, channels: 3, data }, { width: 5, height: 4 })).toEqual(data);
});

it.each([
  [192, 192],
  [192, 96],
  [100, 400],
  [30, 40],
])('brings a mask of 48 x 48 to %i x %i with its edges where they were', async (width, height) => {
  const tensor = (name: string, channels: number) => ({
    name,
    datatype: 'UINT8',
    dims: [-1, -1, channels],
    optional: false,
  });
  const { versions } = readContract({
    ...{ model: 'm', maxBatchSize: 1, instances: 1, batcher: { delayMs: 0, prefetches: true }, readyVersions: ['1'] },
    ...{ inputs: [tensor('image', 3)], outputs: [tensor('mask', 1)] },
    parameters: { 'imagen.plans': '["fit"]', 'imagen.fit_size': '48x48', 'imagen.fit_mode': 'stretch' },
  });
  const contract = versions.get('1') ?? expect.fail();
  const picture = { width, height, rgb: Buffer.alloc(width * height * 3) };
  const [shape = expect.fail()] = fit.shapes(contract, picture);
  const square = Buffer.from(
    Array.from({ length: 48 * 48 }, (_, i) => (i % 48 >= 12 && i % 48 < 36 && i >= 12 * 48 && i < 36 * 48 ? 255 : 0)),
  );
  const { data } = await fit.execute(
    picture,
    shape,
    contract,
    1,
    async (cut, paste) => {
      await cut(shape);
      paste(createTensor('mask', 'UINT8', [48, 48, 1], square), shape);
    },
    atOnce,
  );
  const row = Array.from({ length: width }, (_, x) => data[(height >> 1) * width + x] ?? 0);
  const column = Array.from({ length: height }, (_, y) => data[y * width + (width >> 1)] ?? 0);
  for (const line of [row, column]) {
    const [from = NaN, to = NaN] = edges(line, line.length / 48);
    expect(Math.abs(from - 12) * (line.length / 48)).toBeLessThan(0.1);
    expect(Math.abs(to - 36) * (line.length / 48)).toBeLessThan(0.1);
  }
});
