import { JobError } from '../../domain/errors.js';
import { exifScreen } from './exif.js';

/** Limit of chunks. libwebp takes n² steps to list n frames: about 30 ms for 5,000, eleven seconds for 100,000. */
export const MAX_CHUNKS = 5_000;

/** @throws JobError `INPUT_TOO_MANY_PIXELS` for more than {@link MAX_CHUNKS} frames and other chunks */
export function screenWebp(webp: Buffer): void {
  const screenExif = exifScreen();
  let chunks = 0;
  // Bytes behind the length that the file states are no chunks.
  const end = Math.min(webp.length, 8 + webp.readUInt32LE(4));
  for (let at = 12; at + 8 <= end;) {
    if (++chunks > MAX_CHUNKS) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${MAX_CHUNKS} frames and other chunks of a WebP`);
    }
    const length = webp.readUInt32LE(at + 4);
    if (webp.toString('latin1', at, at + 4) === 'EXIF') screenExif(webp.subarray(at + 8, at + 8 + length));
    at += 8 + length + (length & 1);
  }
}
