import { describe, expect, it } from 'vitest';
import type { Raster } from '../../../src/domain/raster.js';
import { differenceOf } from '../../../src/shadow/difference.js';

/** A picture with detail everywhere, so that its windows vary. */
function picture(
  width: number,
  height: number,
  change: (value: number, at: number) => number = (value) => value,
): Raster {
  const rgb = Buffer.from(Array.from({ length: width * height * 3 }, (_, at) => change(60 + ((at * 37) % 120), at)));
  return { width, height, rgb };
}
const grey = (width: number, height: number, level: number): Raster => ({
  ...{ width, height },
  rgb: Buffer.alloc(width * height * 3, level),
});

describe('the difference of two pictures', () => {
  it('is none for the same picture, of whatever size', async () => {
    for (const [width, height] of [
      [1, 1],
      [8, 8],
      [33, 21],
      [700, 400],
    ] as const) {
      const one = picture(width, height);
      const same = { maxLevels: 0, meanLevels: 0, shareAbove8: 0 };
      const { similarity, ...levels } = await differenceOf(one, picture(width, height));
      expect(levels).toEqual(same);
      expect(similarity).toBeCloseTo(1, 12);
    }
  });

  it('is right to the level', async () => {
    const three = await differenceOf(
      picture(33, 21),
      picture(33, 21, (value) => value + 3),
    );
    expect(three).toMatchObject({ maxLevels: 3, meanLevels: 3, shareAbove8: 0 });
    expect(three.similarity).toBeGreaterThan(0.99);
    const one = await differenceOf(
      picture(40, 25),
      picture(40, 25, (value, at) => (at === 100 ? value + 9 : value)),
    );
    expect(one).toMatchObject({ maxLevels: 9, meanLevels: 9 / 3000, shareAbove8: 1 / 1000 });
    const edge = await differenceOf(
      picture(40, 25),
      picture(40, 25, (value, at) => (at % 3 === 0 ? value - 8 : value)),
    );
    expect(edge).toMatchObject({ maxLevels: 8, meanLevels: 8 / 3, shareAbove8: 0 });
  });

  it('has the similarity of the formula', async () => {
    // Both windows are flat, so only the means can differ.
    const [a, b] = [100, 150];
    const c1 = (0.01 * 255) ** 2;
    const { similarity } = await differenceOf(grey(8, 8, a), grey(8, 8, b));
    expect(similarity).toBeCloseTo((2 * a * b + c1) / (a * a + b * b + c1), 10);
    // The windows weigh as their pixels: 64 of 72 are alike.
    const partly = { ...grey(9, 8, a), rgb: Buffer.from(grey(9, 8, a).rgb) };
    for (let y = 0; y < 8; y++) partly.rgb.fill(b, (y * 9 + 8) * 3, (y * 9 + 9) * 3);
    expect((await differenceOf(grey(9, 8, a), partly)).similarity).toBeCloseTo((64 + 8 * similarity) / 72, 10);
  });

  it('tells a picture without its detail from one that is darker', async () => {
    const sharp = picture(64, 64);
    const darker = await differenceOf(
      sharp,
      picture(64, 64, (value) => value - 20),
    );
    const flat = await differenceOf(sharp, grey(64, 64, 120));
    expect(darker.similarity).toBeGreaterThan(0.9);
    expect(flat.similarity).toBeLessThan(0.2);
  });

  it('counts no colour beneath transparent pixels, but the transparency itself', async () => {
    const alpha = Buffer.alloc(64, 0);
    const hidden = await differenceOf({ ...grey(8, 8, 10), alpha }, { ...grey(8, 8, 200), alpha });
    expect(hidden).toMatchObject({ maxLevels: 0, meanLevels: 0, shareAbove8: 0 });
    const masked = await differenceOf({ ...grey(8, 8, 0), alpha: Buffer.alloc(64, 251) }, grey(8, 8, 0));
    expect(masked).toMatchObject({ maxLevels: 4, meanLevels: 1, shareAbove8: 0 });
  });

  it('pauses between pieces, and ends when the pause does not return', async () => {
    let pauses = 0;
    await differenceOf(picture(1000, 500), picture(1000, 500), () => {
      pauses++;
      return Promise.resolve();
    });
    expect(pauses).toBeGreaterThanOrEqual(4);
    const busy = new Error('busy');
    await expect(differenceOf(picture(1000, 500), picture(1000, 500), () => Promise.reject(busy))).rejects.toBe(busy);
  });

  it('is refused for pictures of two sizes', async () => {
    await expect(differenceOf(grey(8, 8, 0), grey(8, 9, 0))).rejects.toThrow(RangeError);
  });
});
