import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeFile } from '../../support/decode.js';
import { encode, type Pixels } from '../../../src/pipeline/encode.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';

const SIZE = { width: 24, height: 16 };
const red = (alpha?: number): Pixels => ({
  ...SIZE,
  channels: 3,
  data: Buffer.from(Array.from({ length: 24 * 16 }, () => [200, 40, 30]).flat()),
  ...(alpha === undefined ? {} : { alpha: Buffer.alloc(24 * 16, alpha) }),
});

describe('encode', () => {
  it.each(['png', 'webp', 'avif'] as const)('carries alpha in %s', async (name) => {
    const { bytes } = await encode(red(128), { format: FORMATS[name], size: SIZE });
    const { raster } = await decodeFile(bytes, { maxPixels: 1e6 });
    expect(Math.abs((raster.alpha?.[0] ?? 0) - 128)).toBeLessThanOrEqual(2);
    expect(Math.abs((raster.rgb[0] ?? 0) - 200)).toBeLessThanOrEqual(8);
  });

  it.each(['jpeg', 'png'] as const)('flattens %s onto the background', async (name) => {
    const { bytes } = await encode(red(0), { format: FORMATS[name], size: SIZE, background: '#00ff00' });
    const { raster } = await decodeFile(bytes, { maxPixels: 1e6 });
    expect([...raster.rgb.subarray(0, 3)].map((value) => Math.round(value / 16))).toEqual([0, 16, 0]);
  });

  it('shrinks to the given size', async () => {
    const done = await encode(red(), { format: FORMATS.png, size: { width: 12, height: 8 } });
    expect(done).toMatchObject({ width: 12, height: 8 });
  });

  it.each([
    ['webp', false],
    ['avif', false],
    ['avif', true],
  ] as const)('shrinks a disc for %s without a dark rim, grey %s', async (name, grey) => {
    const side = 200;
    const [data, alpha] = [Buffer.alloc(side * side * 3), Buffer.alloc(side * side)];
    for (let i = 0; i < side * side; i++) {
      if (Math.hypot((i % side) - 100, Math.floor(i / side) - 100) > 80) continue;
      alpha[i] = 255;
      data.fill(250, i * 3, i * 3 + (grey ? 3 : 1));
    }
    const pixels: Pixels = { width: side, height: side, channels: 3, data, alpha, ...(grey ? { grey } : {}) };
    const size = { width: 77, height: 77 };
    const { bytes } = await encode(pixels, { format: FORMATS[name], size, quality: 20 });
    const { raster } = await decodeFile(bytes, { maxPixels: 1e6 });
    expect(raster).toMatchObject(size);
    // The colour of a pixel of less alpha is not exact.
    const seen = [...(raster.alpha ?? [])].flatMap((value, i) => (value >= 8 ? [raster.rgb[i * 3] ?? 0] : []));
    expect(seen.length).toBeGreaterThan(2_000);
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(240);
  });

  it('shrinks an opaque picture that has an alpha', async () => {
    const { bytes } = await encode(red(255), { format: FORMATS.webp, size: { width: 12, height: 8 } });
    expect(await sharp(bytes).metadata()).toMatchObject({ width: 12, height: 8 });
  });

  it('writes a mask with one channel', async () => {
    const mask: Pixels = { ...SIZE, channels: 1, data: Buffer.alloc(24 * 16, 77) };
    const { bytes } = await encode(mask, { format: FORMATS.png, size: SIZE });
    expect(await sharp(bytes).metadata()).toMatchObject({ channels: 1 });
    expect((await sharp(bytes).raw().toBuffer())[0]).toBe(77);
  });
});
