/** Copies EXIF, XMP and IPTC from one file to another, and corrects them for pixels that are upright sRGB now. */
import sharp, { type Metadata } from 'sharp';

/** The blocks of a file as sharp returns them. */
export type KeptMetadata = Pick<Metadata, 'exif' | 'xmp' | 'iptc'>;

const EXIF = { orientation: 0x0112, details: 0x8769, colourSpace: 0xa001 } as const;
const EXIF_PREFIX = 'Exif\0\0';
const XMP_PREFIX = 'http://ns.adobe.com/xap/1.0/\0';
/** Most bytes that a segment of a JPEG can hold (ITU-T T.81, B.1.1.4). */
const SEGMENT_BYTES = 65_533;

/**
 * Makes a file of one black pixel with the given metadata. sharp copies metadata only from the file that it opens, so the
 * encoder opens this one and puts the pixels over it. A block larger than 65,533 bytes is left out.
 * @param alpha whether the file has alpha; the pixel is then transparent
 */
export async function carrierOf(kept: KeptMetadata, alpha: boolean): Promise<Buffer> {
  const pixel = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
    .jpeg()
    .toBuffer();
  const { exif, xmp, iptc } = kept;
  const blocks: readonly (readonly [number, Buffer])[] = [
    ...(fits(exif) ? [[0xe1, uprightExif(exif)] as const] : []),
    ...(fits(xmp) ? [[0xe1, Buffer.from(XMP_PREFIX + uprightXmp(xmp.toString('latin1')), 'latin1')] as const] : []),
    ...(fits(iptc) ? [[0xed, iptc] as const] : []),
  ];
  const segments = blocks
    .filter(([, content]) => content.length > 0 && content.length <= SEGMENT_BYTES)
    .flatMap(([marker, content]) => {
      const length = content.length + 2;
      return [Buffer.from([0xff, marker, length >> 8, length & 0xff]), content];
    });
  const jpeg = Buffer.concat([pixel.subarray(0, 2), ...segments, pixel.subarray(2)]);
  // sharp keeps IPTC only from a JPEG to a JPEG, and a JPEG has no alpha.
  return alpha ? sharp(jpeg).ensureAlpha(0).keepMetadata().png().toBuffer() : jpeg;
}

/** Checks the size of a block before any work on it, because a file may hold 64 MiB of metadata. */
function fits(block: Buffer | undefined): block is Buffer {
  return block !== undefined && block.length <= SEGMENT_BYTES;
}

/**
 * Sets orientation 1 and colour space sRGB, and removes the second directory, which would be a thumbnail of the original
 * picture.
 */
function uprightExif(exif: Buffer): Buffer {
  const prefix = exif.toString('latin1', 0, EXIF_PREFIX.length) === EXIF_PREFIX ? EXIF_PREFIX.length : 0;
  const tiff = Buffer.from(exif.subarray(prefix));
  const little = tiff.toString('latin1', 0, 2) === 'II';
  const read16 = (at: number) => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const read32 = (at: number) => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));

  let details: number | undefined;
  const amend = (directory: number): number => {
    const end = directory + 2 + read16(directory) * 12;
    for (let entry = directory + 2; entry < end; entry += 12) {
      const tag = read16(entry);
      if (tag === EXIF.details) details ??= read32(entry + 8);
      if (tag !== EXIF.orientation && tag !== EXIF.colourSpace) continue;
      if (little) tiff.writeUInt16LE(1, entry + 8);
      else tiff.writeUInt16BE(1, entry + 8);
    }
    return end;
  };
  try {
    const next = amend(read32(4));
    if (details !== undefined) amend(details);
    tiff.fill(0, next, next + 4);
  } catch {
    return Buffer.alloc(0); // an offset points outside the block, so none of it can be trusted
  }
  return Buffer.concat([Buffer.from(EXIF_PREFIX, 'latin1'), tiff]);
}

/** Sets orientation 1 in XMP, and removes the thumbnails. Both are text there. */
function uprightXmp(xmp: string): string {
  const upright = xmp
    .replace(/(tiff:Orientation\s*=\s*["'])\d(["'])/g, '$11$2')
    .replace(/(<tiff:Orientation>)\s*\d\s*(<)/g, '$11$2');
  return without(without(upright, 'xmp:Thumbnails'), 'xap:Thumbnails');
}

/** Removes elements in linear time. A regular expression would search for each end tag up to the last byte. */
function without(xml: string, element: string): string {
  const [start, end] = [`<${element}>`, `</${element}>`];
  const kept: string[] = [];
  let at = 0;
  for (;;) {
    const from = xml.indexOf(start, at);
    const to = from < 0 ? -1 : xml.indexOf(end, from);
    if (to < 0) return kept.join('') + xml.slice(at);
    kept.push(xml.slice(at, from));
    at = to + end.length;
  }
}
