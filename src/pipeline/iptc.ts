/** Keeps the parts of a Photoshop block (APP13 of a JPEG) that describe the photograph. */

const SIGNATURE = 'Photoshop 3.0\0';
const RESOURCE = '8BIM';
/**
 * The worker keeps IPTC, the checksum that says whether it was changed, and the marks of copyright. Other resources describe
 * the file that was read: its thumbnail, density, profile and EXIF.
 */
const DESCRIPTIVE: ReadonlySet<number> = new Set([0x0404, 0x0425, 0x040a, 0x040b]);

/** @returns an empty buffer if nothing is left, or if it is no such block */
export function trueIptc(block: Buffer): Buffer {
  const text = (at: number, length: number) => block.toString('latin1', at, at + length);
  if (text(0, SIGNATURE.length) !== SIGNATURE) return Buffer.alloc(0);
  const kept: Buffer[] = [];
  for (let at = SIGNATURE.length; at + 12 <= block.length && text(at, 4) === RESOURCE;) {
    const nameEnd = at + 6 + even(1 + (block[at + 6] ?? 0)); // a name, with its length before it
    if (nameEnd + 4 > block.length) break;
    const end = nameEnd + 4 + block.readUInt32BE(nameEnd);
    if (end > block.length) break;
    if (DESCRIPTIVE.has(block.readUInt16BE(at + 4))) kept.push(padded(block.subarray(at, end)));
    at = nameEnd + 4 + even(end - nameEnd - 4);
  }
  return kept.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), ...kept]);
}

function even(bytes: number): number {
  return bytes + (bytes % 2);
}

function padded(resource: Buffer): Buffer {
  return Buffer.concat([resource, Buffer.alloc(resource.length % 2)]);
}
