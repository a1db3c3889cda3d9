import { isAdobeRgb } from '../exif.js';
import type { Nclx } from '../preflight/avif.js';
import type { Preflight } from '../preflight/index.js';
import { greyCurve, isUsable } from '../profile.js';
import { adobeRgb, byCodePoints, byGamma, type ColourSpace, type Primaries } from './spaces.js';
import type { FileFacts } from '../file-facts.js';

/** ITU-T H.273: the meaning of the numbers is not specified. */
const UNSPECIFIED = 2;

/**
 * The colour space of a file's numbers, if the worker has to convert it: libvips converts by profiles alone, and 16-bit grey
 * only with steps. PNG's chunks rank as PNG, third edition, 4.3, says.
 * @returns undefined for sRGB, and where libvips converts
 */
export function spaceOf({ icc, space, exif, format }: FileFacts, { chunks, nclx }: Preflight): ColourSpace | undefined {
  if (space === 'cmyk') return undefined;
  const cicp = cicpOf(chunks);
  if (cicp) return byCodePoints(cicp.primaries, cicp.transfer);
  if (icc && isUsable(icc, space)) {
    const light = space === 'grey16' ? greyCurve(icc) : undefined;
    return light && { light };
  }
  if (nclx) return byCodePoints(nclx.primaries, nclx.transfer);
  if (format === 'jpeg') return isAdobeRgb(exif) ? adobeRgb() : undefined;
  return chunks && !icc && !chunks.has('sRGB') ? byChunks(chunks) : undefined;
}

/**
 * The numbers of a PNG's cICP, which rank above its profile (PNG, third edition, 11.3.2.6).
 * @returns undefined without one, and if it says nothing: both numbers are 2, or the matrix is not that of RGB
 */
export function cicpOf(chunks: ReadonlyMap<string, Buffer> | undefined): Nclx | undefined {
  const [primaries = 2, transfer = 2, matrix] = chunks?.get('cICP') ?? [];
  if (matrix !== 0 || (primaries === UNSPECIFIED && transfer === UNSPECIFIED)) return undefined;
  return { primaries, transfer };
}

function byChunks(chunks: ReadonlyMap<string, Buffer>): ColourSpace | undefined {
  const [gAMA, cHRM] = [chunks.get('gAMA'), chunks.get('cHRM')];
  // cHRM alone says nothing of the curve, and viewers ignore it.
  if (!gAMA || gAMA.length < 4) return undefined;
  const gamma = gAMA.readUInt32BE() / 100_000;
  if (gamma < 0.1 || gamma > 5) return undefined;
  return byGamma(gamma, cHRM && cHRM.length >= 32 ? primariesOf(cHRM) : undefined);
}

function primariesOf(cHRM: Buffer): Primaries | undefined {
  const at = (i: number) => [cHRM.readUInt32BE(i * 8) / 100_000, cHRM.readUInt32BE(i * 8 + 4) / 100_000] as const;
  const [white, red, green, blue] = [at(0), at(1), at(2), at(3)];
  const area = (red[0] - blue[0]) * (green[1] - blue[1]) - (green[0] - blue[0]) * (red[1] - blue[1]);
  const isPossible = [white, red, green, blue].every(([x, y]) => y > 0 && x + y <= 1.0001) && Math.abs(area) > 0.01;
  return isPossible ? [red, green, blue, white] : undefined;
}
