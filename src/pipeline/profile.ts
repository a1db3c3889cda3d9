/** Checks whether the ICC profile of a picture can be used. */

const HEADER_BYTES = 128;
const ENTRY_BYTES = 12;
/** Limit of tags in Little CMS. */
const MAX_TAGS = 100;
/**
 * Profile classes that describe a picture: monitors, cameras and scanners, printers, colour spaces. Device links do not.
 */
const CLASSES = ['mntr', 'scnr', 'prtr', 'spac'];
/** Tags that a conversion needs (ICC.1:2022, clause 8), unless the profile has a table instead. */
const MATRIX = ['rXYZ', 'gXYZ', 'bXYZ', 'rTRC', 'gTRC', 'bTRC'];
const TABLE_TYPES = ['mft1', 'mft2', 'mAB '];

/**
 * Whether the profile is readable and has the same channels as the picture. The check is needed because sharp silently
 * ignores a profile that it cannot use.
 * @param space sharp's name for the colour space of the file, such as `srgb`, `grey16`, `cmyk`
 */
export function isUsable(icc: Buffer, space: string): boolean {
  if (icc.length < HEADER_BYTES + 4 || text(icc, 36) !== 'acsp' || !CLASSES.includes(text(icc, 12))) return false;
  const channels = space === 'cmyk' ? 'CMYK' : space === 'b-w' || space === 'grey16' ? 'GRAY' : 'RGB ';
  if (text(icc, 16) !== channels) return false;

  const types = typesOfTags(icc);
  const isTable = (tag: string) => TABLE_TYPES.includes(types.get(tag) ?? '');
  if (isTable('A2B0') || isTable('A2B1')) return true;
  const needed = channels === 'RGB ' ? MATRIX : channels === 'GRAY' ? ['kTRC'] : [];
  const fits = (tag: string) => (tag.endsWith('TRC') ? ['curv', 'para'] : ['XYZ ']).includes(types.get(tag) ?? '');
  return needed.length > 0 && needed.every(fits);
}

/**
 * The tone curve of a grey profile (ICC.1:2022, 10.6 and 10.18).
 * @returns light from 0 to 1 for a value from 0 to 1; undefined if there is none, or it is of a kind that is not known
 */
export function greyCurve(icc: Buffer): ((value: number) => number) | undefined {
  const count = icc.readUInt32BE(HEADER_BYTES);
  const entries = Array.from({ length: Math.min(count, MAX_TAGS) }, (_, i) => HEADER_BYTES + 4 + i * ENTRY_BYTES);
  const entry = entries.find((at) => at + ENTRY_BYTES <= icc.length && text(icc, at) === 'kTRC');
  if (entry === undefined) return undefined;
  const from = icc.readUInt32BE(entry + 4);
  const tag = icc.subarray(from, from + icc.readUInt32BE(entry + 8));
  if (tag.length < 12) return undefined;
  return text(tag, 0) === 'curv' ? sampled(tag) : text(tag, 0) === 'para' ? parametric(tag) : undefined;
}

function sampled(tag: Buffer): ((value: number) => number) | undefined {
  const count = tag.readUInt32BE(8);
  if (tag.length < 12 + count * 2) return undefined;
  if (count === 0) return (v) => v;
  if (count === 1) return (v) => v ** (tag.readUInt16BE(12) / 256);
  const at = (i: number) => tag.readUInt16BE(12 + Math.min(i, count - 1) * 2) / 65_535;
  return (v) => {
    const place = v * (count - 1);
    const i = Math.floor(place);
    return at(i) + (at(i + 1) - at(i)) * (place - i);
  };
}

/** Parameters of each kind of parametric curve: g, a, b, c, d, e, f. */
const PARAMETERS = [1, 3, 4, 5, 7];

function parametric(tag: Buffer): ((value: number) => number) | undefined {
  const kind = tag.readUInt16BE(8);
  const count = PARAMETERS[kind];
  if (count === undefined || tag.length < 12 + count * 4) return undefined;
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from(
    { length: count },
    (_, i) => tag.readInt32BE(12 + i * 4) / 65_536,
  );
  if (kind === 0) return (v) => v ** g;
  if (kind < 3) return (v) => (v >= -b / a ? (a * v + b) ** g : 0) + c;
  return (v) => (v >= d ? (a * v + b) ** g + e : c * v + f);
}

/** The type of each tag that lies within the profile. Empty if there are more tags than Little CMS reads. */
function typesOfTags(icc: Buffer): Map<string, string> {
  const types = new Map<string, string>();
  const count = icc.readUInt32BE(HEADER_BYTES);
  if (count > MAX_TAGS) return types;
  const end = HEADER_BYTES + 4 + count * ENTRY_BYTES;
  for (let entry = HEADER_BYTES + 4; entry + ENTRY_BYTES <= Math.min(end, icc.length); entry += ENTRY_BYTES) {
    const offset = icc.readUInt32BE(entry + 4);
    if (offset + icc.readUInt32BE(entry + 8) <= icc.length) types.set(text(icc, entry), text(icc, offset));
  }
  return types;
}

function text(icc: Buffer, at: number): string {
  return icc.toString('latin1', at, at + 4);
}
