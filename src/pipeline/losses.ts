import type { Metadata } from 'sharp';
import { isUsable } from './profile.js';

/** What a completion's `warnings` say of pixels; docs/pixels.md lists all of them. */
export const LOSSES = {
  frames: (count: number | string) => `only the first of ${count} frames was used`,
  bits: 'more than 8 bits per channel were reduced to 8',
  profile: 'the colour profile cannot be used and was left out',
} as const;

/** What a file has and its pixels will not have, a sentence each. */
export function lossesOf(bytes: Buffer, metadata: Metadata): string[] {
  const chunks = metadata.format === 'png' ? chunksBeforePixels(bytes) : new Map<string, Buffer>();
  const losses: string[] = [];
  // sharp knows nothing of animated PNG: its header says how many frames there are.
  const frames = chunks.get('acTL')?.readUInt32BE() ?? metadata.pages ?? 1;
  if (frames > 1) losses.push(LOSSES.frames(frames));
  if (metadata.depth !== 'uchar') losses.push(LOSSES.bits);
  // PNG's library drops a bad profile before sharp sees it.
  const unusable = metadata.icc ? !isUsable(metadata.icc, metadata.space) : chunks.has('iCCP') && !chunks.has('sRGB');
  if (unusable) losses.push(LOSSES.profile);
  return losses;
}

/** The chunks of a PNG that tell about its pixels; of each kind the last one. */
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
