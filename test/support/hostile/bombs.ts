/** Small files that would make a decoder work for minutes, or fill the memory, if it were let. */
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Size } from '../../../src/domain/raster.js';
import { exif, pngChunk, withSegment } from '../pictures.js';
import { alphaOf, avif, coded, grid, ispe, picture, placesOfNothing } from './avif.js';
import { gif, type GifFrame, tiff } from '../tiff.js';
import { bombsOfGif, bombsOfTiff } from './bombs-of-tiff.js';
import { scans } from './scans.js';

export interface Bomb {
  readonly bytes: Buffer;
  /** How it must end. */
  readonly outcome: string;
}

const PNG_START = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const latin1 = (text: string) => Buffer.from(text, 'latin1');

/** EXIF of so many entries without a content. */
function exifOf(entries: number): Buffer {
  const block = Buffer.alloc(8 + 2 + entries * 12 + 4);
  block.write('II*\0', 'latin1');
  block.writeUInt32LE(8, 4);
  block.writeUInt16LE(entries, 8);
  return block;
}

/** A PNG of 1 x 1 pixel, or one that says it is larger. */
function png(more: readonly Buffer[], width = 1, height = 1, pixels = deflateSync(Buffer.from([0, 1, 2, 3]))): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  return Buffer.concat([
    PNG_START,
    pngChunk('IHDR', header),
    ...more,
    pngChunk('IDAT', pixels),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function riff(chunks: readonly (readonly [string, Buffer])[]): Buffer {
  const body = chunks.map(([type, data]) => {
    const head = Buffer.alloc(8);
    head.write(type, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length & 1)]);
  });
  const head = Buffer.alloc(12);
  head.write('RIFF\0\0\0\0WEBP', 'latin1');
  head.writeUInt32LE(4 + body.reduce((sum, { length }) => sum + length, 0), 4);
  return Buffer.concat([head, ...body]);
}

/** An extended WebP's canvas; flags: 2 animated, 8 EXIF, 16 alpha. */
function canvas(width: number, height: number, flags: number): readonly [string, Buffer] {
  const data = Buffer.alloc(10);
  data[0] = flags;
  data.writeUIntLE(width - 1, 4, 3);
  data.writeUIntLE(height - 1, 7, 3);
  return ['VP8X', data];
}

/** Directories within directories: each entry says that another kind of directory begins at the first. */
function selfReferringExif(bytes: number): Buffer {
  const block = Buffer.alloc(bytes);
  block.write('II*\0\x08\0\0\0', 'latin1');
  const entries = Math.min(0xffff, Math.floor((bytes - 14) / 12));
  block.writeUInt16LE(entries, 8);
  for (let i = 0; i < entries; i++) {
    block.writeUInt16LE([0x8769, 0x8825, 0xa005][i % 3] ?? 0, 10 + i * 12);
    block.writeUInt16LE(4, 12 + i * 12);
    block.writeUInt32LE(1, 14 + i * 12);
    block.writeUInt32LE(8, 18 + i * 12);
  }
  return block;
}

/** With another byte at so many bytes from where the text begins. */
function patched(bytes: Buffer, text: string, at: number, value: number): Buffer {
  const other = Buffer.from(bytes);
  other[other.indexOf(text, 0, 'latin1') + at] = value;
  return other;
}

const jpegWithExif = (jpeg: Buffer, block: Buffer) =>
  withSegment(jpeg, 0xe1, Buffer.concat([latin1('Exif\0\0'), block]));

/** Bombs that must be refused, at once and without memory. */
export async function bombs(): Promise<Readonly<Record<string, Bomb>>> {
  const small = sharp({ create: { width: 16, height: 16, channels: 3, background: '#864' } });
  const jpeg = await small.jpeg().toBuffer();
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  const huge = Buffer.from(jpeg);
  huge.writeUInt16BE(64_250, frame + 5);
  huge.writeUInt16BE(64_250, frame + 7);

  const lossless = (await small.webp({ lossless: true }).toBuffer()).subarray(20);
  const large = Buffer.from(lossless);
  large.writeUInt32LE(16_382 * 2 ** 14 + 16_382, 1); // one less than each side, 14 bits
  const tiny = (
    await sharp({ create: { width: 1, height: 1, channels: 3, background: '#864' } })
      .webp({ lossless: true })
      .toBuffer()
  ).subarray(12);
  const frames = (count: number) =>
    riff([
      canvas(1, 1, 2),
      ['ANIM', Buffer.alloc(6)],
      ...Array<[string, Buffer]>(count).fill(['ANMF', Buffer.concat([Buffer.alloc(16), tiny])]),
    ]);

  const [s16, s2048, s4096, most] = [16, 2048, 4096, 16_384].map((side) => ({ width: side, height: side })) as [
    Size,
    Size,
    Size,
    Size,
  ];
  const [dot, cell, sky] = [await coded(s16), await coded(s2048), await coded(s4096)];
  const text = deflateSync(Buffer.alloc(7_900_000, 65), { level: 9 });
  const texts = (type: string, head: string) =>
    Array.from({ length: 100 }, (_, i) => pngChunk(type, Buffer.concat([latin1(`k${i}${head}`), text])));

  const withExif = (block: Buffer) =>
    avif([
      picture(dot, s16),
      { type: 'Exif', data: Buffer.concat([Buffer.alloc(4), block]), properties: [], refers: { as: 'cdsc', to: [1] } },
    ]);
  const minutes = selfReferringExif(2_414); // 200 entries
  const TOO_MANY = 'INPUT_TOO_MANY_PIXELS';
  return {
    'jpeg of 64250 x 64250': { bytes: huge, outcome: TOO_MANY },
    'jpeg of 3500 scans': { bytes: scans(10_000, 10_000, 4, 63), outcome: TOO_MANY },
    'jpeg with an exif of itself': { bytes: jpegWithExif(jpeg, minutes), outcome: 'INPUT_CORRUPT' },
    'png with an exif of itself': { bytes: png([pngChunk('eXIf', minutes)]), outcome: 'INPUT_CORRUPT' },
    'webp with an exif of itself': {
      bytes: riff([canvas(16, 16, 8), ['VP8L', lossless], ['EXIF', minutes]]),
      outcome: 'INPUT_CORRUPT',
    },
    'avif with an exif of itself': { bytes: withExif(minutes), outcome: 'INPUT_CORRUPT' },
    'avif with numbers of 15 bytes': { bytes: patched(withExif(exif(1)), 'iloc', 8, 0xff), outcome: 'INPUT_CORRUPT' },
    'avif of 5000 items in 65535 pieces each': { bytes: placesOfNothing(5_000, 65_535), outcome: 'INPUT_CORRUPT' },
    'png with 300 blocks of exif': {
      bytes: png(Array<Buffer>(300).fill(pngChunk('eXIf', exifOf(100)))),
      outcome: 'INPUT_CORRUPT',
    },
    'png of 50000 x 50000': { bytes: png([], 50_000, 50_000), outcome: TOO_MANY },
    'png of 2^31 x 2^31': { bytes: png([], 0x7fffffff, 0x7fffffff), outcome: 'INPUT_CORRUPT' },
    'png with 790 MB of zTXt': { bytes: png(texts('zTXt', '\0\0')), outcome: 'INPUT_TOO_LARGE' },
    'png with 790 MB of iTXt': { bytes: png(texts('iTXt', '\0\x01\0\0\0')), outcome: 'INPUT_TOO_LARGE' },
    'png of a million chunks': {
      bytes: png(Array<Buffer>(1_000_000).fill(pngChunk('prVt', Buffer.alloc(0)))),
      outcome: 'INPUT_CORRUPT',
    },
    'webp of 16383 x 16383': { bytes: riff([['VP8L', large]]), outcome: TOO_MANY },
    'webp on a canvas of 2^24 x 2^8': {
      bytes: riff([canvas(2 ** 24, 2 ** 8, 0), ['VP8L', lossless]]),
      outcome: 'INPUT_CORRUPT',
    },
    'webp of 100000 frames': { bytes: frames(100_000), outcome: TOO_MANY },
    'avif of 16384 x 16384': { bytes: avif([picture(dot, most)]), outcome: TOO_MANY },
    'avif that hides its size': { bytes: avif([picture(sky, s16)]), outcome: 'INPUT_CORRUPT' },
    'avif with a huge transparency': { bytes: avif([picture(dot, s16), alphaOf(sky, s4096, 1)]), outcome: TOO_MANY },
    'avif grid of one cell, 100 times': {
      bytes: avif([grid(10, 10, s16, Array<number>(100).fill(2)), picture(cell, s2048)]),
      outcome: TOO_MANY,
    },
    'avif grid of itself': { bytes: avif([grid(2, 2, s16, [1, 1, 1, 1])]), outcome: 'INPUT_CORRUPT' },
    'avif of a derived picture': {
      bytes: avif([
        { type: 'iden', data: Buffer.alloc(0), properties: [ispe(s16)], refers: { as: 'dimg', to: [2] } },
        picture(sky, s4096),
      ]),
      outcome: 'UNSUPPORTED_FORMAT',
    },
    ...bombsOfTiff(),
    ...bombsOfGif(),
    'avif of 60000 references': {
      bytes: avif([grid(100, 100, s16, Array<number>(60_000).fill(2)), picture(dot, s16)]),
      outcome: 'INPUT_CORRUPT',
    },
  };
}

/** Pictures that look like bombs and are not: they must end, well, in bounded time. */
export async function duds(): Promise<Readonly<Record<string, Bomb>>> {
  const small = sharp({ create: { width: 16, height: 16, channels: 3, background: '#864' } });
  const jpeg = await small.jpeg().toBuffer();
  const tiny = (await small.webp({ lossless: true }).toBuffer()).subarray(20);
  const strip = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#864' } });
  const thumbnails = '<xmp:Thumbnails>'.repeat(4000);
  return {
    'jpeg of 97 scans': { bytes: scans(400, 400, 1, 7), outcome: 'success' },
    'jpeg with an exif of itself, once': { bytes: jpegWithExif(jpeg, selfReferringExif(30)), outcome: 'success' },
    'jpeg with an ordinary exif': { bytes: withSegment(jpeg, 0xe1, exif(8)), outcome: 'success' },
    'webp with 10 MB of xmp': {
      bytes: riff([canvas(16, 16, 4), ['VP8L', tiny], ['XMP ', latin1('<xmp:Thumbnails>'.repeat(600_000))]]),
      outcome: 'success',
    },
    'jpeg with open thumbnails in its xmp': {
      bytes: withSegment(jpeg, 0xe1, latin1(`http://ns.adobe.com/xap/1.0/\0${thumbnails}`)),
      outcome: 'success',
    },
    'png with an icc of 60 MB': {
      bytes: png([pngChunk('iCCP', Buffer.concat([latin1('k\0\0'), deflateSync(Buffer.alloc(60_000_000, 65))]))]),
      outcome: 'success',
    },
    'png with 100 MB behind its pixels': {
      bytes: png([], 1, 1, deflateSync(Buffer.alloc(100_000_000))),
      outcome: 'success',
    },
    'png of 65500 x 1': { bytes: await strip(65_500, 1).png().toBuffer(), outcome: 'success' },
    'jpeg of 1 x 65500': { bytes: await strip(1, 65_500).jpeg().toBuffer(), outcome: 'success' },
    'webp of 16383 x 1': { bytes: await strip(16_383, 1).webp({ lossless: true }).toBuffer(), outcome: 'success' },
    'gif of 10000 frames': {
      bytes: gif([16, 16], Array<GifFrame>(10_000).fill({ width: 16, height: 16, pixel: (x) => x % 4 })),
      outcome: 'success',
    },
    'gif of 9000 x 9000 in 60 KB': {
      bytes: await strip(9_000, 9_000).gif({ effort: 1 }).toBuffer(),
      outcome: 'success',
    },
    'tiff of 1000 pages': {
      bytes: tiff({ width: 16, height: 16, photometric: 1, pixel: (x) => [x], pages: 1_000 }),
      outcome: 'success',
    },
    'tiff of 9000 x 9000 in one strip of 80 KB': {
      bytes: tiff({
        ...{ width: 9_000, height: 9_000, photometric: 1, pixel: () => [0], rowsPerStrip: 9_000, pack: 'deflate' },
        ...{ bits: 1 },
      }),
      outcome: 'success',
    },
    'avif of 1 x 1': { bytes: await strip(1, 1).avif().toBuffer(), outcome: 'success' },
  };
}
