/** What an encoder must write, against the numbers that went in. */
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { OutputFormat } from '../../../src/domain/job.js';
import { decodeFile } from '../../support/decode.js';
import { encode, type EncodeOptions, type Pixels } from '../../../src/pipeline/encode.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { adobeRgbProfile } from '../../support/icc.js';
import { cmykJpeg, exif, png, readExif, withSegment } from '../../support/pictures.js';

const SIZE = { width: 32, height: 16 };
const PIXELS = SIZE.width * SIZE.height;
const RED = [200, 40, 30] as const;
const HIDDEN = [0, 255, 255] as const;
const FORMAT_NAMES = ['png', 'jpeg', 'webp', 'avif'] as const satisfies readonly OutputFormat[];
/** Levels of 255 that an even colour may lose. */
const WITHIN = { png: 0, jpeg: 2, webp: 4, avif: 4 } as const;

const fill = (colourAt: (x: number, y: number) => readonly number[]) =>
  Buffer.from(Array.from({ length: PIXELS }, (_, i) => colourAt(i % SIZE.width, Math.floor(i / SIZE.width))).flat());
const red = (alpha?: number): Pixels => ({
  ...SIZE,
  channels: 3,
  data: fill(() => RED),
  ...(alpha === undefined ? {} : { alpha: Buffer.alloc(PIXELS, alpha) }),
});
/** Red on the left; on the right nothing, which hides another colour. */
const half = (): Pixels => ({
  ...SIZE,
  channels: 3,
  data: fill((x) => (x < 17 ? RED : HIDDEN)),
  alpha: fill((x) => [x < 17 ? 255 : 0]),
});
/** No two pixels alike. */
const busy = (): Pixels => ({ ...SIZE, channels: 3, data: fill((x, y) => [x * 8, y * 16, (x * y) % 256]) });

const write = async (pixels: Pixels, name: OutputFormat, more: Partial<EncodeOptions> = {}) => {
  const done = await encode(pixels, { format: FORMATS[name], size: pixels, ...more });
  return { ...done, seen: await look(done.bytes) };
};

/** As a stranger would see it: no conversion but the decoder's own. */
async function look(bytes: Buffer) {
  const metadata = await sharp(bytes).metadata();
  const { data, info } = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer({ resolveWithObject: true });
  const { channels } = info;
  const pixels = Array.from({ length: info.width * info.height }, (_, i) => [
    ...data.subarray(i * channels, (i + 1) * channels),
  ]);
  return { ...info, pixels, metadata };
}

function near(given: readonly number[], wanted: readonly number[], within: number): void {
  const off = wanted.map((value, i) => Math.abs(value - (given[i] ?? NaN)));
  expect(
    off.every((distance) => distance <= within),
    `expected ${wanted.join(', ')} within ${within}, given ${given.join(', ')}`,
  ).toBe(true);
}

describe.each(FORMAT_NAMES)('%s', (name) => {
  const within = WITHIN[name];

  it('holds the colours, and says nothing of where they come from', async () => {
    const { seen } = await write(red(), name);
    for (const pixel of seen.pixels) near(pixel, RED, within);
    expect(seen.metadata).toMatchObject({ format: name === 'avif' ? 'heif' : name, channels: 3, hasProfile: false });
    for (const block of ['exif', 'xmp', 'iptc', 'icc'] as const) expect(seen.metadata[block]).toBeUndefined();
  });

  it('lays half transparent pixels on the background', async () => {
    const { seen } = await write(red(102), name, { background: '#0000ff' });
    expect(seen.channels).toBe(3);
    // 0.4 of the colour, 0.6 of the ground.
    for (const pixel of seen.pixels) near(pixel, [80, 16, 165], within + 1);
  });

  it('shrinks on the background without a trace of hidden colours', async () => {
    const { seen } = await write(half(), name, { background: '#ffffff', size: { width: 8, height: 4 } });
    expect(seen).toMatchObject({ width: 8, height: 4, channels: 3 });
    near(seen.pixels[0] ?? [], RED, within + 4);
    near(seen.pixels[7] ?? [], [255, 255, 255], within + 4);
    // Between red and white, red stays high; of the hidden colour's cyan it would sink to half.
    for (const [r = 0] of seen.pixels) expect(r).toBeGreaterThan(160);
  });

  it('writes a mask as it is', async () => {
    const mask: Pixels = { ...SIZE, channels: 1, data: fill((x) => [x < 16 ? 0 : 255]) };
    const { seen } = await write(mask, name);
    near(seen.pixels[0] ?? [], [0], within + 2);
    near(seen.pixels[PIXELS - 1] ?? [], [255], within + 2);
    if (name === 'png' || name === 'jpeg') expect(seen.metadata.channels).toBe(1);
  });

  it('heeds the quality, unless nothing is lost', async () => {
    const [low, high] = [await write(busy(), name, { quality: 20 }), await write(busy(), name, { quality: 95 })];
    if (name === 'png') expect(low.bytes).toEqual(high.bytes);
    else expect(low.bytes.length).toBeLessThan(high.bytes.length * 0.8);
  });
});

describe.each(['png', 'webp', 'avif'] as const)('%s with alpha', (name) => {
  it('holds it, and the colour beneath', async () => {
    const { seen } = await write(red(128), name);
    for (const pixel of seen.pixels) near(pixel, [...RED, 128], WITHIN[name] + 1);
  });

  it('shrinks without a trace of hidden colours', async () => {
    const { seen } = await write(half(), name, { size: { width: 8, height: 4 } });
    expect(seen.channels).toBe(4);
    for (const [r = 0, g = 0, b = 0, alpha = 0] of seen.pixels) {
      // An edge of alpha a knows its colour to 255 / a levels; the filter swings over by a few more.
      if (alpha > 16) near([r, g, b], RED, WITHIN[name] * 3 + 4 + 255 / alpha);
    }
    expect(seen.pixels[0]?.[3]).toBeGreaterThan(250);
    expect(seen.pixels[7]?.[3]).toBeLessThan(5);
  });
});

it('writes PNG bit by bit', async () => {
  const pixels = busy();
  const { seen } = await write(pixels, 'png');
  expect(Buffer.from(seen.pixels.flat())).toEqual(pixels.data);
});

describe('kept metadata', () => {
  const THUMBNAIL = sharp({ create: { width: 12, height: 6, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer();
  const XMP =
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" ' +
    'tiff:Orientation="6" tiff:Artist="somebody"><xmp:Thumbnails>lots</xmp:Thumbnails></rdf:Description>' +
    '<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description></rdf:RDF></x:xmpmeta>';
  const IPTC = Buffer.from('Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x50\0\x06byline\0', 'latin1');

  async function original(orientation: number): Promise<Buffer> {
    const plain = await sharp({ create: { ...SIZE, channels: 3, background: '#345' } })
      .jpeg()
      .toBuffer();
    const withIptc = withSegment(plain, 0xed, IPTC);
    const withXmp = withSegment(withIptc, 0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${XMP}`, 'latin1'));
    return withSegment(withXmp, 0xe1, exif(orientation, await THUMBNAIL));
  }
  const metadataOf = async (bytes: Buffer) => (await decodeFile(bytes, { maxPixels: 1e6 })).metadata;

  const ways = FORMAT_NAMES.flatMap((name) =>
    [1, 3, 6].flatMap((orientation) => [
      { name, orientation, alpha: false },
      ...(name === 'jpeg' ? [] : [{ name, orientation, alpha: true }]),
    ]),
  );
  it.each(ways)('$name of orientation $orientation, alpha: $alpha', async ({ name, orientation, alpha }) => {
    const bytes = await original(orientation);
    expect(await sharp(bytes).metadata()).toMatchObject({ orientation, xmp: Buffer.from(XMP), iptc: IPTC });
    expect(readExif((await sharp(bytes).metadata()).exif ?? expect.fail())).toMatchObject({ second: true });

    const pixels = alpha ? half() : busy();
    const kept = await write(pixels, name, { metadata: await metadataOf(bytes) });
    const { metadata } = kept.seen;
    const { tags, second } = readExif(metadata.exif ?? expect.fail());
    expect(metadata.exif?.toString('latin1')).toContain('somebody');
    expect(tags.get(0x0112) ?? 1).toBe(1);
    expect(metadata.orientation ?? 1).toBe(1);
    expect([tags.get(0xa002), tags.get(0xa003)]).toEqual([SIZE.width, SIZE.height]);
    expect(tags.get(0xa001)).toBe(1); // sRGB
    expect(second).toBe(false);
    expect(kept.bytes.includes((await THUMBNAIL).subarray(20, 80))).toBe(false);
    const xmp = metadata.xmp?.toString() ?? '';
    expect(xmp).toContain('tiff:Artist="somebody"');
    expect(xmp.match(/tiff:Orientation\W+(\d)/g)).toEqual(['tiff:Orientation="1', 'tiff:Orientation>1']);
    expect(xmp).not.toContain('Thumbnails');
    expect(metadata.iptc?.toString('latin1')).toBe(name === 'jpeg' ? IPTC.toString('latin1') : undefined);
    expect(metadata.icc).toBeUndefined();

    // The pixels are those that are written without metadata.
    expect(metadata).toMatchObject(SIZE);
    expect(metadata.hasAlpha).toBe(alpha);
    expect(kept.seen.pixels).toEqual((await write(pixels, name)).seen.pixels);
  });

  it.each<[string, () => Promise<Buffer> | Buffer]>([
    [
      'a wide gamut of 16 bits',
      () => png({ ...SIZE, colour: 'rgb', depth: 16, pixel: () => [60, 60, 160, 160, 80, 80], icc: adobeRgbProfile() }),
    ],
    ['CMYK', () => cmykJpeg(SIZE, [255, 0, 0, 0])],
    ['grey', () => png({ ...SIZE, colour: 'grey', depth: 8, pixel: () => [100] })],
  ])('leaves the colours alone where the input was %s', async (_name, make) => {
    const { seen } = await write(busy(), 'png', { metadata: await metadataOf(await make()) });
    expect(Buffer.from(seen.pixels.flat())).toEqual(busy().data);
    expect(seen.metadata.icc).toBeUndefined();
  });

  it('goes with a mask, and with a picture that is shrunk', async () => {
    const metadata = await metadataOf(await original(6));
    const mask = await write({ ...SIZE, channels: 1, data: fill((x) => [x * 8]) }, 'png', { metadata });
    expect(mask.seen.metadata).toMatchObject({ channels: 1, hasAlpha: false });
    expect(mask.seen.pixels[1]?.[0]).toBe(8);
    const small = await write(half(), 'png', { metadata, size: { width: 8, height: 4 } });
    expect(small).toMatchObject({ width: 8, height: 4 });
    expect(readExif(small.seen.metadata.exif ?? expect.fail()).tags.get(0xa002)).toBe(8);
  });

  it.each<[string, Buffer]>([
    ['cut short', exif(6).subarray(0, 40)],
    ['that points outside', Buffer.from('Exif\0\0MM\0*\xff\xff\xff\xf0', 'latin1')],
    [
      'that points to itself',
      Buffer.from('Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0', 'latin1'),
    ],
    ['larger than a segment', Buffer.concat([exif(6), Buffer.alloc(70_000)])],
  ])('comes to no harm by EXIF %s', async (_name, broken) => {
    const { seen } = await write(busy(), 'jpeg', { metadata: { exif: broken } });
    expect(seen.metadata).toMatchObject(SIZE);
  });
});
