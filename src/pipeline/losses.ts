import type { Metadata } from 'sharp';
import { type WarningCode, warning } from '../domain/warnings.js';
import type { Preflight } from './preflight/index.js';
import { isUsable } from './profile.js';

/** The warnings about a decoded file: what its pixels lost, and what was wrong with it. */
export function lossesOf(bytes: Buffer, metadata: Metadata, { jpeg }: Preflight): string[] {
  const codes: WarningCode[] = [...(jpeg?.flaws ?? [])];
  const chunks = metadata.format === 'png' ? chunksBeforePixels(bytes) : new Map<string, Buffer>();
  // sharp does not read animated PNG, so the number of frames comes from the file's `acTL` chunk.
  const count = chunks.get('acTL')?.readUInt32BE() ?? metadata.pages ?? 1;
  // Without `fcTL` before the pixels, the default image is no frame (PNG, third edition, 11.3.3.1).
  if (chunks.has('acTL') && !chunks.has('fcTL')) codes.push('hidden-default');
  else if (count > 1) codes.push('frames');
  if (metadata.depth !== 'uchar') codes.push('bits');
  // libpng drops a bad profile before sharp sees it.
  const unusable = metadata.icc ? !isUsable(metadata.icc, metadata.space) : chunks.has('iCCP') && !chunks.has('sRGB');
  if (unusable) codes.push('profile');
  return codes.map((code) => warning(code, { count }));
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
