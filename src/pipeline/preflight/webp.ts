import { JobError } from '../../domain/errors.js';
import { exifScreen } from './exif.js';

/** To list n frames takes libwebp n² steps: 5,000 some 30 ms, 100,000 eleven seconds. */
export const MAX_CHUNKS = 5_000;

/** @throws JobError `INPUT_TOO_MANY_PIXELS` for more frames, and other chunks, than {@link MAX_CHUNKS} */
export function screenWebp(webp: Buffer): void {
  const screenExif = exifScreen();
  let chunks = 0;
  for (let at = 12; at + 8 <= webp.length;) {
    if (++chunks > MAX_CHUNKS) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${MAX_CHUNKS} frames and other chunks of a WebP`);
    }
    const length = webp.readUInt32LE(at + 4);
    if (webp.toString('latin1', at, at + 4) === 'EXIF') screenExif(webp.subarray(at + 8, at + 8 + length));
    at += 8 + length + (length & 1);
  }
}
