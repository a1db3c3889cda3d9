import { describe, expect, it } from 'vitest';
import { enlarge } from '../../../src/pipeline/enlarge.js';

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
