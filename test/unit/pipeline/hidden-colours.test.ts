import { describe, expect, it } from 'vitest';
import { clearHidden, extendColours, onGround } from '../../../src/pipeline/hidden-colours.js';

const SIDE = 37;
type Colour = readonly [number, number, number];
const RED: Colour = [230, 20, 40];
const BLUE: Colour = [10, 60, 200];

/** Pictures of which a part is visible. */
const SHAPES: readonly [string, (x: number, y: number) => number][] = [
  ['a disc', (x, y) => (Math.hypot(x - 18, y - 18) < 11 ? 255 : 0)],
  ['a soft disc', (x, y) => Math.max(0, Math.min(255, Math.round((12 - Math.hypot(x - 18, y - 18)) * 60)))],
  ['one pixel in a corner', (x, y) => (x === 36 && y === 36 ? 1 : 0)],
  ['thin lines', (x, y) => (x % 9 === 4 || y % 13 === 5 ? 200 : 0)],
  ['a ring that ends at the border', (x, y) => (x < 2 || y < 2 ? 255 : 0)],
];

function picture(alphaAt: (x: number, y: number) => number, visible: (x: number) => Colour, hidden: Colour) {
  const alpha = Buffer.alloc(SIDE * SIDE);
  const rgb = Buffer.alloc(SIDE * SIDE * 3);
  for (let i = 0; i < alpha.length; i++) {
    alpha[i] = alphaAt(i % SIDE, Math.floor(i / SIDE));
    Buffer.from(alpha[i] === 0 ? hidden : visible(i % SIDE)).copy(rgb, i * 3);
  }
  return { width: SIDE, height: SIDE, rgb, alpha };
}

describe.each(SHAPES)('%s', (_name, alphaAt) => {
  it('has its one colour everywhere, whatever was hidden', async () => {
    for (const hidden of [[0, 0, 0], [255, 255, 255], BLUE] as const) {
      const { rgb, alpha, ...size } = picture(alphaAt, () => RED, hidden);
      await extendColours(rgb, alpha, size);
      expect(new Set(Array.from({ length: alpha.length }, (_, i) => rgb.readUIntBE(i * 3, 3)))).toEqual(
        new Set([Buffer.from(RED).readUIntBE(0, 3)]),
      );
    }
  });

  it('keeps the colours that are seen, and extends only those', async () => {
    const colour = (x: number): Colour => (x < 18 ? RED : BLUE);
    const before = picture(alphaAt, colour, [0, 255, 0]);
    const rgb = Buffer.from(before.rgb);
    await extendColours(rgb, before.alpha, before);
    for (const [i, alpha] of before.alpha.entries()) {
      if (alpha > 0) expect(rgb.subarray(i * 3, i * 3 + 3)).toEqual(before.rgb.subarray(i * 3, i * 3 + 3));
      else expect(rgb[i * 3 + 1]).toBeLessThanOrEqual(60);
    }
  });

  it('keeps what is seen when the rest is cleared', async () => {
    const before = picture(alphaAt, () => RED, BLUE);
    const rgb = Buffer.from(before.rgb);
    await clearHidden(rgb, before.alpha);
    for (const [i, alpha] of before.alpha.entries()) {
      expect([...rgb.subarray(i * 3, i * 3 + 3)]).toEqual(alpha > 0 ? [...RED] : [0, 0, 0]);
    }
  });

  it.each<[string, Colour, number]>([
    ['white', [40, 10, 60], 255],
    ['black', [200, 220, 90], 0],
  ])('lies on %s where it contrasts with that, whatever was hidden', async (_ground, colour, ground) => {
    const grounds = [RED, BLUE].map((hidden) => onGround(picture(alphaAt, () => colour, hidden)));
    const [flat = expect.fail(), other] = await Promise.all(grounds);
    expect(flat).toEqual(other);
    const { alpha } = picture(alphaAt, () => colour, RED);
    for (const [i, value] of alpha.entries()) {
      const wanted = (colour[0] * value + ground * (255 - value)) / 255;
      expect(Math.abs((flat[i * 3] ?? NaN) - wanted)).toBeLessThanOrEqual(0.51);
    }
  });
});

it('is black where nothing is visible', async () => {
  const { rgb, alpha, ...size } = picture(
    () => 0,
    () => RED,
    BLUE,
  );
  await extendColours(rgb, alpha, size);
  expect(rgb.every((value) => value === 0)).toBe(true);
});

it.each([
  [1, 1],
  [1, 70],
  [513, 2],
])('takes a picture of %i x %i', async (width, height) => {
  const rgb = Buffer.alloc(width * height * 3, 9);
  const alpha = Buffer.alloc(width * height);
  alpha[width * height - 1] = 255;
  rgb.fill(77, rgb.length - 3);
  await extendColours(rgb, alpha, { width, height });
  expect(rgb.every((value) => value === 77)).toBe(true);
});

it('lets the event loop run meanwhile', async () => {
  const size = { width: 3000, height: 1000 };
  const alpha = Buffer.alloc(3_000_000);
  alpha.fill(255, 0, 1_000_000);
  let turns = 0;
  let isDone = false;
  const turn = () => {
    turns++;
    if (!isDone) setImmediate(turn);
  };
  turn();
  await extendColours(Buffer.alloc(9_000_000, 5), alpha, size);
  isDone = true;
  // Twice for each 100,000 pixels, and for the smaller copies.
  expect(turns).toBeGreaterThan(60);
});
