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
const CHANNELS = { GRAY: 1, 'RGB ': 3, CMYK: 4 } as const;
/** Connection spaces. */
const CONNECTIONS = ['XYZ ', 'Lab '];
/** The newest version that Little CMS reads. */
const NEWEST = 0x05000000;

/**
 * Whether the profile is readable and has the same channels as the picture. The check is needed because sharp silently
 * ignores a profile that it cannot use.
 * @param space sharp's name for the colour space of the file, such as `srgb`, `grey16`, `cmyk`
 */
export function isUsable(icc: Buffer, space: string): boolean {
  if (icc.length < HEADER_BYTES + 4 || text(icc, 36) !== 'acsp' || !CLASSES.includes(text(icc, 12))) return false;
  const channels = space === 'cmyk' ? 'CMYK' : isOneChannel(space) ? 'GRAY' : 'RGB ';
  if (text(icc, 16) !== channels || !CONNECTIONS.includes(text(icc, 20)) || icc.readUInt32BE(8) > NEWEST) return false;

  const tags = tagsOf(icc);
  const tables = [tags.get('A2B0'), tags.get('A2B1')].filter((tag) => tag && TABLE_TYPES.includes(text(tag, 0)));
  if (tables.length > 0) return tables.every((table) => table && isWholeTable(table, CHANNELS[channels]));
  const needed = channels === 'RGB ' ? MATRIX : channels === 'GRAY' ? ['kTRC'] : [];
  const isWhole = (name: string) => {
    const tag = tags.get(name);
    if (!tag) return false;
    return name.endsWith('TRC') ? curveOf(tag) !== undefined : text(tag, 0) === 'XYZ ' && tag.length >= 20;
  };
  return needed.length > 0 && needed.every(isWhole);
}

/** @param space sharp's name for the colour space of the file */
export function isOneChannel(space: string): boolean {
  return space === 'b-w' || space === 'grey16';
}

/**
 * Whether a table takes the picture's channels, and is not cut short (ICC.1:2022, 10.10 to 10.12). Of the newest kind only the
 * places of its parts are looked at.
 */
function isWholeTable(tag: Buffer, channels: number): boolean {
  if (tag.length < 32 || tag[8] !== channels || tag[9] !== 3) return false;
  if (text(tag, 0) === 'mAB ') {
    const parts = [12, 16, 20, 24, 28].map((at) => tag.readUInt32BE(at));
    return parts[0] !== 0 && parts.every((part) => part < tag.length);
  }
  if (tag.length < 52) return false;
  const grid = (tag[10] ?? 0) ** channels * 3;
  if (text(tag, 0) === 'mft1') return tag.length >= 48 + channels * 256 + grid + 3 * 256;
  return tag.length >= 52 + 2 * (channels * tag.readUInt16BE(48) + grid + 3 * tag.readUInt16BE(50));
}

/**
 * The tone curve of a grey profile (ICC.1:2022, 10.6 and 10.18).
 * @returns light from 0 to 1 for a value from 0 to 1; undefined if there is none, or it is of a kind that is not known
 */
export function greyCurve(icc: Buffer): ((value: number) => number) | undefined {
  const tag = tagsOf(icc).get('kTRC');
  const curve = tag && curveOf(tag);
  // With Lab as connection space, the curve gives lightness.
  return curve && text(icc, 20) === 'Lab ' ? (value) => lightOf(curve(value)) : curve;
}

/** Light of CIE 1976 lightness. @param lightness from 0 to 1 */
function lightOf(lightness: number): number {
  const f = (lightness * 100 + 16) / 116;
  return f > 6 / 29 ? f ** 3 : 3 * (6 / 29) ** 2 * (f - 4 / 29);
}

function curveOf(tag: Buffer): ((value: number) => number) | undefined {
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

/** The tags that lie within the profile, by name. Empty if there are more tags than Little CMS reads. */
function tagsOf(icc: Buffer): Map<string, Buffer> {
  const tags = new Map<string, Buffer>();
  const count = icc.readUInt32BE(HEADER_BYTES);
  if (count > MAX_TAGS) return tags;
  // Little CMS reads no further than the length that the profile states.
  const length = Math.min(icc.length, icc.readUInt32BE());
  const end = HEADER_BYTES + 4 + count * ENTRY_BYTES;
  for (let entry = HEADER_BYTES + 4; entry + ENTRY_BYTES <= Math.min(end, length); entry += ENTRY_BYTES) {
    const from = icc.readUInt32BE(entry + 4);
    const to = from + icc.readUInt32BE(entry + 8);
    if (to <= length) tags.set(text(icc, entry), icc.subarray(from, to));
  }
  return tags;
}

function text(icc: Buffer, at: number): string {
  return icc.toString('latin1', at, at + 4);
}
