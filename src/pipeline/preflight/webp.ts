import { JobError } from '../../domain/errors.js';
import { exifPreflight } from './exif.js';

/** Limit of chunks. libwebp takes n² steps to list n frames: about 30 ms for 5,000, eleven seconds for 100,000. */
export const MAX_CHUNKS = 5_000;

/** Fewer zero bytes in a row than this say nothing: a coder may write some at its end. */
const LEAST_ZEROS = 64;
/**
 * Zero bytes in a row that an encoder can write. The coder of VP8 writes zeros while every decision takes its first branch, as
 * where all 25 blocks of each macroblock of a flat picture end at once (RFC 6386, sections 7 and 13). The most that was seen is
 * 0.71 byte a macroblock, by libwebp's fastest setting at quality 100. In VP8L a pixel that is like the one before it costs at
 * most a bit where it is not part of a longer copy.
 */
const ZEROS_PER_MACROBLOCK = 1.5;
const ZEROS_PER_PIXEL = 1 / 8;

/**
 * @throws JobError `INPUT_TOO_MANY_PIXELS` for more than {@link MAX_CHUNKS} frames and other chunks; `INPUT_CORRUPT` for more
 * zeros than an encoder can write: an upload that broke off, or a lost sector
 */
export function preflightWebp(webp: Buffer): void {
  const checkExif = exifPreflight();
  let chunks = 0;
  // Bytes behind the length that the file states are no chunks.
  const end = Math.min(webp.length, 8 + webp.readUInt32LE(4));
  for (let at = 12; at + 8 <= end;) {
    if (++chunks > MAX_CHUNKS) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${MAX_CHUNKS} frames and other chunks of a WebP`);
    }
    const length = webp.readUInt32LE(at + 4);
    const name = webp.toString('latin1', at, at + 4);
    const data = webp.subarray(at + 8, at + 8 + length);
    if (name === 'EXIF') checkExif(data);
    else screenZeros(name, data);
    at += 8 + length + (length & 1);
  }
}

function screenZeros(name: string, data: Buffer): void {
  const most = mostZeros(name, data);
  if (most === undefined || data.length <= most) return;
  const at = data.indexOf(Buffer.alloc(most + 1));
  if (at < 0) return;
  throw new JobError(
    'INPUT_CORRUPT',
    `WebP: more than ${most} zero bytes in a row, where a picture of its size has fewer`,
  );
}

/** @returns undefined for a chunk that holds no coded pixels */
function mostZeros(name: string, data: Buffer): number | undefined {
  if (data.length < 10) return undefined;
  if (name === 'VP8 ') {
    const [width, height] = [data.readUInt16LE(6) & 0x3fff, data.readUInt16LE(8) & 0x3fff];
    const macroblocks = Math.ceil(width / 16) * Math.ceil(height / 16);
    return LEAST_ZEROS + Math.ceil(macroblocks * ZEROS_PER_MACROBLOCK);
  }
  if (name === 'VP8L') {
    const sizes = data.readUInt32LE(1);
    const pixels = ((sizes & 0x3fff) + 1) * (((sizes >>> 14) & 0x3fff) + 1);
    return LEAST_ZEROS + Math.ceil(pixels * ZEROS_PER_PIXEL);
  }
  // The first frame of an animation begins with 16 bytes of its own, and then has chunks again.
  if (name === 'ANMF' && data.length > 24) return mostZeros(data.toString('latin1', 16, 20), data.subarray(24));
  return undefined;
}
