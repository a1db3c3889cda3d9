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
