/** Checks the data of strips and tiles against the number of bytes that their pixels need. */
import { createInflate, inflateSync } from 'node:zlib';
import { JobError } from '../../domain/errors.js';
import { JpegFile } from '../jpeg/index.js';
import { followLzw } from '../lzw.js';
import { inPieces, pause } from '../turns.js';
import { damaged } from './directory.js';
import { followFax } from './fax.js';
import { COMPRESSION, type Layout, type Segment, unsupportedTiff } from './layout.js';

/** Larger segments are inflated apart from the main thread. */
const SMALL_BYTES = 256 * 1024;
/** Bytes of pixels between two pauses for the event loop. */
const BYTES_A_TURN = 1_000_000;

/** @throws JobError `INPUT_CORRUPT`, `UNSUPPORTED_FORMAT` */
export async function checkSegments(file: Buffer, layout: Layout, tables: Buffer | undefined): Promise<void> {
  const { compression, reversedBits, segments } = layout;
  if (compression === COMPRESSION.none) return;
  let left = BYTES_A_TURN;
  for (const segment of segments) {
    const stored = file.subarray(segment.from, segment.to);
    const data = reversedBits ? withBitsReversed(stored) : stored;
    if (compression === COMPRESSION.jpeg) await checkJpeg(stored, tables);
    else if (compression === COMPRESSION.fax) await inPieces(followFax(data, layout.across, segment.rows));
    else mustFit(segment, await lengthOf(data, layout, segment));
    left -= segment.most;
    if (left > 0) continue;
    left = BYTES_A_TURN;
    await pause();
  }
}

function mustFit({ least, most }: Segment, length: number): void {
  if (length < least) throw damaged('a strip or tile ends early');
  if (length > most) throw damaged('a strip or tile has more pixels than its place');
}

/** Bytes that the data of a segment make. */
async function lengthOf(data: Buffer, { compression }: Layout, { most }: Segment): Promise<number> {
  if (compression === COMPRESSION.lzw) return lzwLength(data, most);
  if (compression === COMPRESSION.packBits) return packBitsLength(data);
  return inflatedLength(data, most);
}

async function lzwLength(data: Buffer, most: number): Promise<number> {
  if (data[0] === 0 && ((data[1] ?? 0) & 1) === 1) throw unsupportedTiff('LZW of before TIFF 5: save it again');
  const length = await inPieces(followLzw({ data, literalBits: 8, symbols: 256, most, kind: 'tiff' }));
  if (length === 'invalid') throw damaged('its LZW data have a code that means nothing');
  return length;
}

/** TIFF 6.0, section 9. */
function packBitsLength(data: Buffer): number {
  let length = 0;
  for (let at = 0; at < data.length;) {
    const head = data[at] ?? 0;
    if (head === 128) at++;
    else if (head > 128) {
      length += 257 - head;
      at += 2;
    } else {
      length += head + 1;
      at += head + 2;
    }
    if (at > data.length) throw damaged('its PackBits data end within a run');
  }
  return length;
}

/** @param most bytes after which it gives up */
async function inflatedLength(data: Buffer, most: number): Promise<number> {
  try {
    if (most <= SMALL_BYTES) return inflateSync(data, { maxOutputLength: most + 1 }).length;
    const inflate = createInflate({ chunkSize: SMALL_BYTES });
    inflate.end(data);
    let length = 0;
    for await (const chunk of inflate) {
      length += (chunk as Buffer).length;
      if (length > most) break;
    }
    return length;
  } catch (cause) {
    throw new JobError('INPUT_CORRUPT', 'TIFF: a strip or tile cannot be inflated', { cause });
  }
}

/** The tables that all segments share stand apart, as a JPEG without a picture. */
async function checkJpeg(data: Buffer, tables: Buffer | undefined): Promise<void> {
  const jpeg = new JpegFile(
    tables && tables.length > 4 ? Buffer.concat([tables.subarray(0, -2), data.subarray(2)]) : data,
  );
  await jpeg.check();
  if (jpeg.flaws.has('no-end')) throw damaged('a strip or tile ends early');
}

const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit);
  return reversed;
});

function withBitsReversed(data: Buffer): Buffer {
  return Buffer.from(data.map((byte) => REVERSED[byte] ?? 0));
}
