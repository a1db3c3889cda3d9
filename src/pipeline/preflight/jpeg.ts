import { JobError } from '../../domain/errors.js';
import { exifScreen } from './exif.js';

/** Limit of scans. A scan of 150 bytes can make the decoder pass over the whole picture again. Encoders write 10 or 20. */
export const MAX_SCANS = 100;

/** Markers of frames that are not progressive (ITU-T T.81, table B.1). */
const FRAMES = [0xc0, 0xc1, 0xc3, 0xc5, 0xc7, 0xc9, 0xcb, 0xcd, 0xcf];
const SCAN = 0xda;
const APP1 = 0xe1;
const END = 0xd9;

/** @throws JobError `INPUT_TOO_MANY_PIXELS` for a progressive picture with more than {@link MAX_SCANS} scans */
export function screenJpeg(jpeg: Buffer): void {
  const screenExif = exifScreen();
  let scans = 0;
  let progressive = true;
  for (let at = nextMarker(jpeg, 2); at >= 0;) {
    const marker = jpeg[at + 1] ?? END;
    if (FRAMES.includes(marker)) progressive = false;
    // The decoding time of a picture that is not progressive is proportional to its bytes.
    if (marker === END || (marker === SCAN && !progressive)) return;
    if (marker === SCAN && ++scans > MAX_SCANS) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${MAX_SCANS} scans of a progressive JPEG`);
    }
    const length = isAlone(marker) || at + 4 > jpeg.length ? 0 : jpeg.readUInt16BE(at + 2);
    if (marker === APP1 && jpeg.toString('latin1', at + 4, at + 8) === 'Exif') {
      screenExif(jpeg.subarray(at + 4, at + 2 + length));
    }
    at = nextMarker(jpeg, at + 2 + length);
  }
}

/** Offset of the next marker, or -1. In the data of a scan, 0xff 0x00 is a data byte, and RSTn markers are skipped. */
function nextMarker(jpeg: Buffer, from: number): number {
  for (let at = jpeg.indexOf(0xff, from); at >= 0; at = jpeg.indexOf(0xff, at + 1)) {
    const marker = jpeg[at + 1] ?? 0;
    if (marker !== 0 && marker !== 0xff && !(marker >= 0xd0 && marker <= 0xd7)) return at;
  }
  return -1;
}

/** Whether no length follows the marker: TEM, SOI. */
function isAlone(marker: number): boolean {
  return marker === 0x01 || marker === 0xd8;
}
