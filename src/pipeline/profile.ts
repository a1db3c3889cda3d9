/** What a picture's colours were measured in: its ICC profile, and whether that can be used. */

const HEADER_BYTES = 128;
const ENTRY_BYTES = 12;
/** As many as Little CMS reads. */
const MAX_TAGS = 100;
/** Of monitors, cameras and scanners, printers, and colour spaces; links between devices say nothing of a picture. */
const CLASSES = ['mntr', 'scnr', 'prtr', 'spac'];
/** Tags without which nothing can be converted (ICC.1:2022, clause 8), unless a table stands for all of them. */
const MATRIX = ['rXYZ', 'gXYZ', 'bXYZ', 'rTRC', 'gTRC', 'bTRC'];
const TABLE_TYPES = ['mft1', 'mft2', 'mAB '];

/**
 * Whether the profile can be read and speaks of the same channels as the picture. Checked here because sharp leaves a
 * profile out in silence when it cannot use it.
 * @param space sharp's name for how the picture is stored, such as `srgb`, `grey16`, `cmyk`
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

/** The type of each tag that lies within the profile; none where there are too many to be read. */
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
