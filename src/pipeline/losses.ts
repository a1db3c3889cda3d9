import { type WarningCode, warning } from '../domain/warnings.js';
import { cicpOf, spaceOf } from './colour/meaning.js';
import type { Preflight } from './preflight/index.js';
import { isUsable } from './profile.js';
import type { FileFacts } from './file-facts.js';

/** The warnings about a decoded file: what its pixels lost, and what was wrong with it. */
export function lossesOf(metadata: FileFacts, structure: Preflight): string[] {
  const { jpeg, chunks = new Map<string, Buffer>() } = structure;
  const codes: WarningCode[] = [...(jpeg?.flaws ?? [])].filter((flaw) => flaw !== 'profile' || !metadata.icc);
  // sharp does not read animated PNG, so the number of frames comes from the file's `acTL` chunk.
  const count = framesOf(chunks.get('acTL')) ?? structure.frames ?? metadata.pages ?? 1;
  // Without `fcTL` before the pixels, the default image is no frame (PNG, third edition, 11.3.3.1).
  if (chunks.has('acTL') && !chunks.has('fcTL')) codes.push('hidden-default');
  else if (count > 1) codes.push('frames');
  if (metadata.depth !== 'uchar') codes.push('bits');
  if (spaceOf(metadata, structure)?.range) codes.push('hdr');
  // libpng drops a bad profile before sharp sees it.
  const hasBetter = cicpOf(chunks) !== undefined || (!metadata.icc && chunks.has('sRGB'));
  const unusable = metadata.icc ? !isUsable(metadata.icc, metadata.space) : chunks.has('iCCP');
  if (unusable && !hasBetter) codes.push('profile');
  return [...new Set(codes)].map((code) => warning(code, { count }));
}

function framesOf(acTL: Buffer | undefined): number | undefined {
  return acTL && acTL.length >= 4 ? acTL.readUInt32BE() : undefined;
}
