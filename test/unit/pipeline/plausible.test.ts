import { describe, expect, it } from 'vitest';
import { whyImplausible } from '../../../src/pipeline/plausible.js';

const SIDE = 256;
type Fill = (x: number, y: number) => readonly [number, number, number];
const noiseAt = (x: number, y: number) => ((x * 374_761_393 + y * 668_265_263) >>> 13) & 255;

const paint = (fill: Fill, side = SIDE) => {
  const rgb = Buffer.alloc(side * side * 3);
  for (let i = 0; i < side * side; i++) Buffer.from(fill(i % side, Math.floor(i / side))).copy(rgb, i * 3);
  return rgb;
};
const viewOf = (fill: Fill, side = SIDE) => ({ x: 0, y: 0, width: side, height: side, rgb: paint(fill, side) });
const grey = (value: number) => [value, value, value] as const;

const PICTURES: readonly [string, Fill][] = [
  ['a photograph with noise', (x, y) => grey(60 + x / 3 + (noiseAt(x, y) % 60))],
  ['a gradient', (x) => grey(x)],
  ['a page of text', (x, y) => grey(y % 16 < 8 && noiseAt(x >> 2, y >> 2) < 100 ? 20 : 250)],
  ['a night with lamps', (x, y) => grey(noiseAt(x >> 5, y >> 5) < 40 ? 250 : 12)],
];

describe.each(PICTURES)('%s', (_name, fill) => {
  const view = viewOf(fill);

  it.each<[string, number]>([
    ['black', 0],
    ['white', 255],
    ['grey', 127],
  ])('is not answered by %s alone', (_colour, value) => {
    for (const scale of [1, 2, 4]) {
      const answer = Buffer.alloc(SIDE * scale * SIDE * scale * 3, value);
      expect(whyImplausible(view, answer, scale, 3)).toMatch(/one colour, #/);
    }
  });

  it('is answered by itself, by its negative, by a few tones, and by its edges', () => {
    const answers: ((value: number, i: number) => number)[] = [
      (value) => value,
      (value) => 255 - value,
      (value) => Math.round(value / 64) * 63,
      (value, i) => Math.min(255, Math.abs(value - (view.rgb[i - 3] ?? value)) * 8),
      (value) => Math.max(0, value - 1),
    ];
    for (const change of answers) {
      expect(whyImplausible(view, Buffer.from(view.rgb.map(change)), 1, 3)).toBeUndefined();
    }
  });

  it('has a mask of nothing, of everything, or of a part, but not of one value between', () => {
    const mask = (value: number) => Buffer.alloc(SIDE * SIDE, value);
    expect(whyImplausible(view, mask(0), 1, 1)).toBeUndefined();
    expect(whyImplausible(view, mask(255), 1, 1)).toBeUndefined();
    expect(whyImplausible(view, mask(0).fill(255, 0, 9000), 1, 1)).toBeUndefined();
    expect(whyImplausible(view, mask(127), 1, 1)).toMatch(/mask is 127 everywhere/);
  });
});

describe('a picture with noise', () => {
  const view = viewOf((x, y) => [90 + (noiseAt(x, y) % 120), 80 + (noiseAt(y, x) % 120), 100 + (noiseAt(x, x) % 90)]);

  it.each<[string, (x: number, y: number) => boolean]>([
    ['its upper half', (_x, y) => y < 128],
    ['a corner', (x, y) => x >= 190 && y >= 190],
    ['a square within', (x, y) => x > 60 && x < 200 && y > 60 && y < 200],
  ])('is not black in %s alone', (_where, isBlack) => {
    const answer = Buffer.from(view.rgb);
    for (let i = 0; i < SIDE * SIDE; i++) if (isBlack(i % SIDE, Math.floor(i / SIDE))) answer.fill(0, i * 3, i * 3 + 3);
    expect(whyImplausible(view, answer, 1, 3)).toMatch(/black where/);
  });

  it('may have black lines', () => {
    const answer = Buffer.from(view.rgb);
    for (let i = 0; i < SIDE * SIDE; i++) if (i % 9 === 0 || i % SIDE < 12) answer.fill(0, i * 3, i * 3 + 3);
    expect(whyImplausible(view, answer, 1, 3)).toBeUndefined();
  });
});

it.each<[string, ReturnType<typeof viewOf>, number]>([
  ['an even picture', viewOf(() => [12, 200, 90]), 0],
  ['a white page with a speck', viewOf((x, y) => grey(x === 130 && y === 130 ? 0 : 255)), 255],
  ['a wall with faint noise', viewOf((x, y) => grey(180 + (noiseAt(x, y) % 8))), 184],
  ['a picture of a few pixels', viewOf((x) => grey(x * 9), 24), 100],
])('lets %s become one colour', (_name, view, value) => {
  expect(whyImplausible(view, Buffer.alloc(view.rgb.length, value), 1, 3)).toBeUndefined();
});

it('takes a millisecond at most, however large the answer is', () => {
  const view = viewOf((x, y) => grey(noiseAt(x, y)), 1024);
  const answer = Buffer.alloc(4096 * 4096 * 3, Buffer.from([1, 2, 3, 4]));
  const startedAt = performance.now();
  for (let i = 0; i < 20; i++) whyImplausible(view, answer, 4, 3);
  // A tenth of it where nothing else runs.
  expect((performance.now() - startedAt) / 20).toBeLessThan(5);
});
