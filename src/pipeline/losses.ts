import type { Metadata } from 'sharp';
import { isUsable } from './profile.js';

/** The `warnings` of a completion about pixels. docs/pixels.md lists all of them. */
export const LOSSES = {
  frames: (count: number | string) => `only the first of ${count} frames was used`,
  bits: 'more than 8 bits per channel were reduced to 8',
  profile: 'the colour profile cannot be used and was left out',
} as const;

/** What the pixels of a file lose when they are decoded, one sentence per loss. */
export function lossesOf(bytes: Buffer, metadata: Metadata): string[] {
  const chunks = metadata.format === 'png' ? chunksBeforePixels(bytes) : new Map<string, Buffer>();
  const losses: string[] = [];
  // sharp does not read animated PNG, so the number of frames comes from the file's `acTL` chunk.
  const frames = chunks.get('acTL')?.readUInt32BE() ?? metadata.pages ?? 1;
  if (frames > 1) losses.push(LOSSES.frames(frames));
  if (metadata.depth !== 'uchar') losses.push(LOSSES.bits);
  // libpng drops a bad profile before sharp sees it.
  const unusable = metadata.icc ? !isUsable(metadata.icc, metadata.space) : chunks.has('iCCP') && !chunks.has('sRGB');
  if (unusable) losses.push(LOSSES.profile);
  return losses;
}

/** The chunks of a PNG that come before its pixels, by type. The last chunk of a type counts. */
function chunksBeforePixels(png: Buffer): Map<string, Buffer> {
  const chunks = new Map<string, Buffer>();
  let at = 8;
  while (at + 12 <= png.length) {
    const length = png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    if (type === 'IDAT' || at + 12 + length > png.length) break;
    if (length >= 4) chunks.set(type, png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return chunks;
}
