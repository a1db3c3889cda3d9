/**
 * Picture files written or changed byte by byte: what sharp cannot be asked for, and what has to be known to the bit.
 */
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import type { Size } from '../../src/domain/raster.js';

/** PNG's colour types (ISO/IEC 15948, 11.2.1). */
export const PNG_COLOUR = { grey: 0, rgb: 2, palette: 3, greyAlpha: 4, rgba: 6 } as const;

export interface PngOptions extends Size {
  readonly colour: keyof typeof PNG_COLOUR;
  readonly depth: 1 | 2 | 4 | 8 | 16;
  /** One pixel, packed as the file holds it (a byte for up to 8 bits a channel, the high one first for 16). */
  readonly pixel: (x: number, y: number) => readonly number[];
  readonly icc?: Buffer;
  /** Further chunks before the pixels, such as PLTE, tRNS, gAMA. */
  readonly chunks?: Readonly<Record<string, Buffer>>;
}

/** Depths under 8 are for pictures of one pixel a byte's width only: `pixel` then gives whole bytes for 8 / depth pixels. */
export function png({ width, height, colour, depth, pixel, icc, chunks = {} }: PngOptions): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([depth, PNG_COLOUR[colour]], 8);
  const step = depth < 8 ? 8 / depth : 1;
  const rows = Array.from({ length: height }, (_, y) => [
    0,
    ...Array.from({ length: Math.ceil(width / step) }, (_, i) => pixel(i * step, y)).flat(),
  ]);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    ...(icc ? [pngChunk('iCCP', Buffer.concat([Buffer.from('icc\0\0', 'latin1'), deflateSync(icc)]))] : []),
    ...Object.entries(chunks).map(([type, data]) => pngChunk(type, data)),
    pngChunk('IDAT', deflateSync(Buffer.from(rows.flat()))),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

export function pngChunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, crc]);
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Puts a marker segment (`0xe1` is APP1) behind the start of a JPEG. */
export function withSegment(jpeg: Buffer, marker: number, content: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, content, jpeg.subarray(2)]);
}

/** Where a JPEG's segment of this marker begins; -1 without one. Walks them, since pixels may hold any bytes. */
export function segmentAt(jpeg: Buffer, marker: number): number {
  let at = 2;
  while (at + 4 <= jpeg.length && jpeg[at] === 0xff && jpeg[at + 1] !== 0xda) {
    if (jpeg[at + 1] === marker) return at;
    at += 2 + jpeg.readUInt16BE(at + 2);
  }
  return -1;
}

export function withoutSegment(jpeg: Buffer, marker: number): Buffer {
  const at = segmentAt(jpeg, marker);
  if (at < 0) throw new TypeError(`no segment ${marker.toString(16)}`);
  return Buffer.concat([jpeg.subarray(0, at), jpeg.subarray(at + 2 + jpeg.readUInt16BE(at + 2))]);
}

/** Says how the numbers of a JPEG are to be understood, without changing them. */
export function withJpegProfile(jpeg: Buffer, icc: Buffer): Buffer {
  return withSegment(jpeg, 0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), icc]));
}

/** A JPEG of one colour, by its inks (levels of 255); libjpeg writes it the way Adobe does: inverted, and says so. */
export async function cmykJpeg(
  { width, height }: Size,
  inks: readonly [number, number, number, number],
): Promise<Buffer> {
  const raw = { raw: { width, height, channels: 1 as const } };
  const [cyan, ...others] = inks.map((ink) => Buffer.alloc(width * height, ink));
  const joined = sharp(cyan, raw).joinChannel(others, raw).toColourspace('cmyk');
  return joined.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
}

/** Writes a sequential JPEG with one scan for each of its three channels. A decoder of such a file holds all coefficients. */
export async function jpegInScans(picture: Sharp): Promise<Buffer> {
  const ids = [1, 2, 3];
  const colours = await picture.removeAlpha().toBuffer();
  const greyOf = (channel: 'red' | 'green' | 'blue') => sharp(colours).extractChannel(channel).jpeg().toBuffer();
  const grey = [await greyOf('red'), await greyOf('green'), await greyOf('blue')] as const;
  const [first] = grey;
  const at = segmentAt(first, 0xc0);
  const frame = [0xff, 0xc0, 0, 17, ...first.subarray(at + 4, at + 9), 3, ...ids.flatMap((id) => [id, 0x11, 0])];
  const scans = grey.map((jpeg, i) => {
    const data = jpeg.indexOf(Buffer.from([0xff, 0xda])) + 10;
    return Buffer.concat([Buffer.from([0xff, 0xda, 0, 8, 1, i + 1, 0, 0, 63, 0]), jpeg.subarray(data, -2)]);
  });
  const tables = first.subarray(at + 13, first.indexOf(Buffer.from([0xff, 0xda])));
  return Buffer.concat([first.subarray(0, at), Buffer.from(frame), tables, ...scans, first.subarray(-2)]);
}

/** EXIF with the given orientation, and a thumbnail if there is one: two directories, big-endian. */
export function exif(orientation: number, thumbnail?: Buffer): Buffer {
  const entry = (tag: number, type: number, count: number, value: number) => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt16BE(tag);
    bytes.writeUInt16BE(type, 2);
    bytes.writeUInt32BE(count, 4);
    if (type === 3) bytes.writeUInt16BE(value, 8);
    else bytes.writeUInt32BE(value, 8);
    return bytes;
  };
  const directory = (entries: readonly Buffer[], next: number) => {
    const [count, link] = [Buffer.alloc(2), Buffer.alloc(4)];
    count.writeUInt16BE(entries.length);
    link.writeUInt32BE(next);
    return Buffer.concat([count, ...entries, link]);
  };
  const first = 8;
  const size = (entries: number) => 2 + entries * 12 + 4;
  const details = first + size(3);
  const artist = details + size(3);
  const second = artist + 16;
  const main = [entry(0x0112, 3, 1, orientation), entry(0x013b, 2, 9, artist), entry(0x8769, 4, 1, details)];
  const more = [entry(0xa001, 3, 1, 0xffff), entry(0xa002, 4, 1, 9999), entry(0xa003, 4, 1, 7777)];
  const parts: Uint8Array[] = [
    Buffer.from('Exif\0\0MM\0*\0\0\0\x08', 'latin1'),
    directory(main, thumbnail ? second : 0),
    directory(more, 0),
    Buffer.from('somebody\0\0\0\0\0\0\0\0', 'latin1'),
  ];
  if (thumbnail) {
    const pixels = second + size(3);
    const small = [entry(0x0103, 3, 1, 6), entry(0x0201, 4, 1, pixels), entry(0x0202, 4, 1, thumbnail.length)];
    parts.push(directory(small, 0), thumbnail);
  }
  return Buffer.concat(parts);
}

/** What an EXIF block says: numbers by tag, of the main directory and its details, and whether another one follows. */
export function readExif(block: Buffer): { readonly tags: ReadonlyMap<number, number>; readonly second: boolean } {
  const tiff = block.subarray(block.toString('latin1', 0, 4) === 'Exif' ? 6 : 0);
  const little = tiff.toString('latin1', 0, 2) === 'II';
  const read16 = (at: number) => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const read32 = (at: number) => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const tags = new Map<number, number>();
  const walk = (directory: number): number => {
    const end = directory + 2 + read16(directory) * 12;
    for (let at = directory + 2; at < end; at += 12) {
      tags.set(read16(at), read16(at + 2) === 3 ? read16(at + 8) : read32(at + 8));
      if (read16(at) === 0x8769) walk(read32(at + 8));
    }
    return read32(end);
  };
  return { second: walk(read32(4)) !== 0, tags };
}
