/** Small TIFF and GIF files that would make a decoder work for minutes, or fill the memory, if it were let. */
import { deflateSync } from 'node:zlib';
import { gif, lzwOf, subBlocks, tiff, type TiffTag } from '../tiff.js';
import type { Bomb } from './bombs.js';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

export function bombsOfTiff(): Readonly<Record<string, Bomb>> {
  const dot = { width: 16, height: 16, photometric: 2, pixel: () => [1, 2, 3] };
  const long = (tag: number, ...values: number[]): TiffTag => ({ tag, type: 'long', values });
  const inCircle = tiff({ ...dot, pages: 2 });
  inCircle.writeUInt32LE(inCircle.readUInt32LE(4), inCircle.length - 4);
  const packed = { ...dot, pack: 'deflate' } as const;
  const inflating = deflateSync(Buffer.alloc(100_000_000), { level: 9 });
  const TOO_MANY = 'INPUT_TOO_MANY_PIXELS';
  return {
    'tiff whose pages link in a circle': { bytes: inCircle, outcome: 'INPUT_CORRUPT' },
    'tiff of 70000 pages': { bytes: manyPages(70_000), outcome: 'INPUT_CORRUPT' },
    'tiff of 60000 x 60000': {
      bytes: tiff({ ...packed, tags: [long(256, 60_000), long(257, 60_000), long(278, 60_000)] }),
      outcome: TOO_MANY,
    },
    'tiff of 2^32 strips': {
      bytes: tiff({ ...packed, tags: [long(257, 0xffffffff), long(278, 1)] }),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff with a tile of 65520 x 65520': {
      bytes: tiff({ ...packed, tile: 16, tags: [long(322, 65_520), long(323, 65_520)] }),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff whose strip inflates to 100 MB': {
      bytes: tiff({ ...packed, spoil: () => inflating }),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff with a strip past its end': {
      bytes: tiff({ ...dot, tags: [long(273, 0xfffffff0)] }),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff with a tag of 4 GB': { bytes: countOfTag(tiff(dot), 258, 0xffffffff), outcome: 'INPUT_CORRUPT' },
    'tiff with a directory past its end': {
      bytes: Buffer.concat([latin1('II*\0'), Buffer.from([0xf0, 0xff, 0xff, 0xff])]),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff of 65535 entries': {
      bytes: Buffer.concat([latin1('II*\0'), Buffer.from([8, 0, 0, 0, 0xff, 0xff]), Buffer.alloc(65_535 * 12 + 4)]),
      outcome: 'INPUT_CORRUPT',
    },
    'tiff of LZW codes without end': {
      bytes: tiff({ ...dot, tags: [{ tag: 259, values: [5] }], spoil: () => Buffer.alloc(5_000_000, 0x41) }),
      outcome: 'INPUT_CORRUPT',
    },
  };
}

/** Directories of no entries that follow each other. */
function manyPages(count: number): Buffer {
  const bytes = Buffer.alloc(8 + count * 6);
  bytes.write('II*\0\x08', 'latin1');
  for (let i = 0; i < count - 1; i++) bytes.writeUInt32LE(8 + (i + 1) * 6, 8 + i * 6 + 2);
  return bytes;
}

function countOfTag(bytes: Buffer, tag: number, count: number): Buffer {
  for (let at = bytes.readUInt32LE(4) + 2; ; at += 12) {
    if (bytes.readUInt16LE(at) !== tag) continue;
    bytes.writeUInt32LE(count, at + 4);
    return bytes;
  }
}

export function bombsOfGif(): Readonly<Record<string, Bomb>> {
  const dot = { width: 1, height: 1, pixel: () => 0 };
  const TOO_MANY = 'INPUT_TOO_MANY_PIXELS';
  const wide = gif([1, 1], [dot]);
  wide.writeUInt16LE(65_535, 13 + 12 + 5);
  wide.writeUInt16LE(65_535, 13 + 12 + 7);
  const head = gif([9, 9], [], [0, 0, 0, 9, 9, 9, 1, 1, 1, 2, 2, 2]).subarray(0, -1);
  const frame = Buffer.from([0x2c, 0, 0, 0, 0, 9, 0, 9, 0, 0, 2]);
  const nothing = lzwOf(Array<number>(3_000_000).fill(0));
  return {
    'gif of 65535 x 65535': { bytes: gif([65_535, 65_535], [dot]), outcome: TOO_MANY },
    'gif with a frame of 65535 x 65535': { bytes: wide, outcome: TOO_MANY },
    'gif of blocks without end': {
      bytes: Buffer.concat([head, Buffer.from([0x21, 0xfe]), Buffer.alloc(20_000_000, 1)]),
      outcome: 'INPUT_CORRUPT',
    },
    'gif of comments alone': {
      bytes: Buffer.concat([head, ...Array<Buffer>(1_000_000).fill(Buffer.from([0x21, 0xfe, 1, 65, 0]))]),
      outcome: 'INPUT_CORRUPT',
    },
    'gif of more pixels than its frame': {
      bytes: Buffer.concat([head, frame, subBlocks(nothing), Buffer.from([0x3b])]),
      outcome: 'INPUT_CORRUPT',
    },
  };
}
