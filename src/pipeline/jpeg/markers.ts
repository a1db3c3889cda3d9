/** Markers and segments of a JPEG (ITU-T T.81, annex B). */
import { JobError } from '../../domain/errors.js';

export const MARKER = {
  SOF2: 0xc2,
  DHT: 0xc4,
  SOF10: 0xca,
  SOI: 0xd8,
  EOI: 0xd9,
  SOS: 0xda,
  DQT: 0xdb,
  DRI: 0xdd,
  APP1: 0xe1,
  APP2: 0xe2,
  APP14: 0xee,
  APP15: 0xef,
} as const;

export function damaged(message: string): JobError {
  return new JobError('INPUT_CORRUPT', `JPEG: ${message}`);
}

/** A marker and its content. A segment without a length is empty. */
export interface Segment {
  readonly marker: number;
  /** Offset of the marker. */
  readonly at: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The segment at `at` or, past bytes that belong to none, behind it.
 * @returns undefined at the end of the file
 * @throws JobError `INPUT_CORRUPT` for a segment that the file cuts short
 */
export function segmentFrom(jpeg: Buffer, at: number): Segment | undefined {
  const found = nextMarker(jpeg, at);
  if (found < 0) return undefined;
  const marker = jpeg[found + 1] ?? 0;
  const from = found + 2;
  if (isAlone(marker)) return { marker, at: found, from, to: from };
  const length = from + 2 <= jpeg.length ? jpeg.readUInt16BE(from) : 0;
  if (length < 2 || from + length > jpeg.length) throw damaged('a segment is cut short');
  return { marker, at: found, from: from + 2, to: from + length };
}

/** Offset of the next marker, or -1. In the data of a scan, 0xff 0x00 is a data byte, and RSTn markers are skipped. */
export function nextMarker(jpeg: Buffer, from: number): number {
  for (let at = jpeg.indexOf(0xff, from); at >= 0; at = jpeg.indexOf(0xff, at + 1)) {
    const marker = jpeg[at + 1] ?? 0;
    if (marker !== 0 && marker !== 0xff && !(marker >= 0xd0 && marker <= 0xd7)) return at;
  }
  return -1;
}

/** Whether no length follows the marker: TEM, SOI, EOI. */
function isAlone(marker: number): boolean {
  return marker === 0x01 || marker === MARKER.SOI || marker === MARKER.EOI;
}
