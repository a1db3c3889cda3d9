import { describe, expect, it } from 'vitest';
import { boxMean } from '../../../src/pipeline/guided-filter.js';
import { applyMask } from '../../../src/pipeline/mask.js';

describe('boxMean', () => {
  it('equals the mean of the window, cut off at the borders', () => {
    const [width, height, radius] = [7, 5, 2];
    const plane = Float32Array.from({ length: width * height }, (_, i) => (i * 37) % 11);
    const fast = boxMean(plane, width, height, radius);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const window: number[] = [];
        for (let v = Math.max(0, y - radius); v <= Math.min(height - 1, y + radius); v++) {
          for (let u = Math.max(0, x - radius); u <= Math.min(width - 1, x + radius); u++)
            window.push(plane[v * width + u] ?? 0);
        }
        const mean = window.reduce((sum, value) => sum + value, 0) / window.length;
        expect(fast[y * width + x]).toBeCloseTo(mean, 4);
      }
    }
  });
});

describe('applyMask', () => {
  /** A red disc on a blue ground, and a mask that is a blocky, blurred approximation of it. */
  const side = 200;
  const inside = (x: number, y: number) => Math.hypot(x - 100, y - 100) < 60;
  const rgb = Buffer.alloc(side * side * 3);
  const mask = Buffer.alloc(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      Buffer.from(inside(x, y) ? [220, 30, 30] : [30, 30, 220]).copy(rgb, (y * side + x) * 3);
      const [bx, by] = [Math.floor(x / 3) * 3 + 1, Math.floor(y / 3) * 3 + 1];
      mask[y * side + x] = Math.max(0, Math.min(255, 128 + (60 - Math.hypot(bx - 100, by - 100)) * 40));
    }
  }

  it('follows the edge of the picture and not the blocks of the mask', async () => {
    const { alpha = expect.fail() } = await applyMask({ width: side, height: side, rgb }, mask);
    let wrongBefore = 0;
    let wrongAfter = 0;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const wanted = inside(x, y) ? 255 : 0;
        wrongBefore += Math.abs((mask[y * side + x] ?? 0) - wanted);
        wrongAfter += Math.abs((alpha[y * side + x] ?? 0) - wanted);
      }
    }
    expect(wrongAfter).toBeLessThan(wrongBefore / 3);
    expect(alpha[100 * side + 100]).toBe(255);
    expect(alpha[5 * side + 5]).toBe(0);
  });

  it("lets the subject's colour reach over its edge, so that no halo of the ground remains", async () => {
    const soft = Buffer.from(rgb);
    // One pixel around the disc is half ground, as the edge of a photograph is.
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const ring = Math.hypot(x - 100, y - 100);
        if (ring >= 60 && ring < 61.5) Buffer.from([125, 30, 125]).copy(soft, (y * side + x) * 3);
      }
    }
    const done = await applyMask({ width: side, height: side, rgb: soft }, mask);
    for (let i = 0; i < side * side; i++) {
      const opacity = done.alpha?.[i] ?? 0;
      if (opacity > 60 && opacity < 200) expect(done.rgb[i * 3 + 2]).toBeLessThan(110);
    }
  });

  it('leaves no hole where a highlight within the edge is as bright as the ground', async () => {
    const lit = Buffer.from(rgb);
    const highlight = (x: number, y: number) => Math.hypot(x - 100, y - 100) > 46 && inside(x + 8, y) && x > 140;
    const spots: number[] = [];
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        if (!highlight(x, y)) continue;
        Buffer.from([30, 30, 220]).copy(lit, (y * side + x) * 3);
        spots.push(y * side + x);
      }
    }
    const { alpha } = await applyMask({ width: side, height: side, rgb: lit }, mask);
    expect(spots.length).toBeGreaterThan(100);
    expect(Math.min(...spots.map((i) => alpha?.[i] ?? 0))).toBeGreaterThan(240);
  });

  it('multiplies an alpha that was there before', async () => {
    const before = Buffer.alloc(side * side, 100);
    const { alpha } = await applyMask({ width: side, height: side, rgb, alpha: before }, mask);
    expect(alpha?.[100 * side + 100]).toBe(100);
  });

  it.each([
    [1, 1],
    [1, 300],
    [700, 3],
  ])('takes a picture of %i x %i', async (width, height) => {
    const picture = { width, height, rgb: Buffer.alloc(width * height * 3, 90) };
    const { alpha } = await applyMask(picture, Buffer.alloc(width * height, 255));
    expect(alpha).toEqual(Buffer.alloc(width * height, 255));
  });
});
