import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeFile } from '../../support/decode.js';

/** Four quarters, each of one colour: red and green above, blue and white below. */
const SIDE = 16;
const QUARTERS = { topLeft: [255, 0, 0], topRight: [0, 255, 0], bottomLeft: [0, 0, 255], bottomRight: [255, 255, 255] };
function quarters() {
  const rgb = Buffer.alloc(SIDE * SIDE * 3);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const row = y < SIDE / 2 ? [QUARTERS.topLeft, QUARTERS.topRight] : [QUARTERS.bottomLeft, QUARTERS.bottomRight];
      Buffer.from(row[x < SIDE / 2 ? 0 : 1] ?? []).copy(rgb, (y * SIDE + x) * 3);
    }
  }
  return sharp(rgb, { raw: { width: SIDE, height: SIDE, channels: 3 } });
}

const LIMIT = { maxPixels: 1_000_000 };

async function colourAt(bytes: Buffer, x: number, y: number): Promise<number[]> {
  const { raster } = await decodeFile(bytes, LIMIT);
  const at = (y * raster.width + x) * 3;
  return [...raster.rgb.subarray(at, at + 3)];
}

function near(given: readonly number[], wanted: readonly number[], tolerance: number) {
  given.forEach((value, i) => expect(Math.abs(value - (wanted[i] ?? 0))).toBeLessThanOrEqual(tolerance));
}

describe('decode', () => {
  it.each(['png', 'jpeg', 'webp', 'avif'] as const)('reads %s', async (format) => {
    const bytes = await quarters().toFormat(format, { quality: 95 }).toBuffer();
    const decoded = await decodeFile(bytes, LIMIT);
    expect(decoded).toMatchObject({ format, warnings: [], raster: { width: SIDE, height: SIDE } });
    expect(decoded.raster.alpha).toBeUndefined();
    near(await colourAt(bytes, 3, 3), QUARTERS.topLeft, 12);
    near(await colourAt(bytes, 12, 12), QUARTERS.bottomRight, 12);
  });

  it('keeps alpha apart, and forgets one that hides nothing', async () => {
    const half = await quarters().ensureAlpha(0.5).png().toBuffer();
    const { raster } = await decodeFile(half, LIMIT);
    near([...(raster.alpha ?? [])], Array<number>(SIDE * SIDE).fill(128), 1);
    expect(raster.alpha).toHaveLength(SIDE * SIDE);
    expect(raster.rgb).toHaveLength(SIDE * SIDE * 3);
    const opaque = await quarters().ensureAlpha(1).png().toBuffer();
    expect((await decodeFile(opaque, LIMIT)).raster.alpha).toBeUndefined();
    const grey = await quarters().greyscale().ensureAlpha(0.5).png().toBuffer();
    near([...((await decodeFile(grey, LIMIT)).raster.alpha ?? [0])], Array<number>(SIDE * SIDE).fill(128), 1);
  });

  const jpegOf = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#345' } })
      .jpeg()
      .toBuffer();

  it.each<[string, string, () => Promise<Buffer> | Buffer]>([
    ['text', 'UNSUPPORTED_FORMAT', () => Buffer.from('hello')],
    [
      'an SVG',
      'UNSUPPORTED_FORMAT',
      () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    ],
    ['a BMP', 'UNSUPPORTED_FORMAT', () => Buffer.from('Qk0eAAAAAAAAABoAAAAMAAAAAQABAAEAGAAAAP8A', 'base64')],
    ['a PDF', 'UNSUPPORTED_FORMAT', () => Buffer.from('%PDF-1.4\n%âãÏÓ\n')],
    [
      'half a JPEG',
      'INPUT_CORRUPT',
      async () => (await quarters().resize(200).jpeg({ quality: 100 }).toBuffer()).subarray(0, 1200),
    ],
    [
      'half a PNG',
      'INPUT_CORRUPT',
      async () => (await quarters().resize(200).png({ compressionLevel: 0 }).toBuffer()).subarray(0, 9000),
    ],
    ['too many pixels', 'INPUT_TOO_MANY_PIXELS', () => jpegOf(1001, 1000)],
    [
      'a header that claims 64250 x 64250',
      'INPUT_TOO_MANY_PIXELS',
      async () => {
        const bytes = await jpegOf(16, 16);
        const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
        bytes.writeUInt16BE(64_250, frame + 5);
        bytes.writeUInt16BE(64_250, frame + 7);
        return bytes;
      },
    ],
  ])('refuses %s as %s', async (_name, code, make) => {
    await expect(decodeFile(await make(), LIMIT)).rejects.toMatchObject({ code });
  });
});
