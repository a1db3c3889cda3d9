/** Copies EXIF, XMP and IPTC from one file to another, and corrects them for pixels that are upright sRGB now. */
import { crc32 } from '@node-rs/crc32';
import sharp, { type Metadata } from 'sharp';
import { isSameSize, type Size } from '../domain/raster.js';
import { densityOf, Exif, SEGMENT_BYTES, TAG, UNTRUE_TAGS } from './exif.js';
import { trueIptc } from './iptc.js';
import { uprightXmp } from './xmp.js';

/** The blocks of a file as sharp returns them. */
export interface KeptMetadata extends Pick<Metadata, 'exif' | 'xmp' | 'iptc'> {
  /** Pixels per inch, if the file states them. */
  readonly density?: number | undefined;
  /** Size of the picture that was read; undefined if it was turned. */
  readonly size?: Size | undefined;
}

/** Whether a file holds anything that could be kept. */
export function isAnyKept({ exif, xmp, iptc, density }: KeptMetadata): boolean {
  return [exif, xmp, iptc, density].some((one) => one !== undefined);
}

const XMP_PREFIX = 'http://ns.adobe.com/xap/1.0/\0';
/** Where the chunks of a PNG start that follow its header. */
const IHDR_END = 33;

/**
 * Makes a file of one black pixel with the given metadata. sharp copies metadata only from the file that it opens, so the
 * encoder opens this one and puts the pixels over it. A block larger than 65,533 bytes is left out.
 * @param alpha whether the file has alpha; the pixel is then transparent
 * @param to size of the result
 */
export async function carrierOf(kept: KeptMetadata, alpha: boolean, to: Size): Promise<Buffer> {
  const pixel = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
    .jpeg()
    .toBuffer();
  const { exif, xmp, iptc, density, size: from } = kept;
  const scaling = from && { from, to };
  const blocks: readonly (readonly [number, Buffer])[] = [
    ...(density === undefined ? [] : [[0xe0, jfif(density)] as const]),
    ...(fits(exif) ? [[0xe1, uprightExif(exif, from !== undefined && isSameSize(from, to))] as const] : []),
    ...(fits(xmp)
      ? [[0xe1, Buffer.from(XMP_PREFIX + uprightXmp(xmp.toString('latin1'), scaling), 'latin1')] as const]
      : []),
    ...(fits(iptc) ? [[0xed, trueIptc(iptc)] as const] : []),
  ];
  const segments = blocks
    .filter(([, content]) => content.length > 0 && content.length <= SEGMENT_BYTES)
    .map(([marker, content]) => segment(marker, content));
  const jpeg = Buffer.concat([pixel.subarray(0, 2), ...segments, pixel.subarray(2)]);
  // sharp keeps IPTC only from a JPEG to a JPEG, and a JPEG has no alpha.
  return alpha ? sharp(jpeg).ensureAlpha(0).keepMetadata().png().toBuffer() : jpeg;
}

function segment(marker: number, content: Buffer): Buffer {
  const length = content.length + 2;
  return Buffer.concat([Buffer.from([0xff, marker, length >> 8, length & 0xff]), content]);
}

/** Checks the size of a block before any work on it, because a file may hold 64 MiB of metadata. */
function fits(block: Buffer | undefined): block is Buffer {
  return block !== undefined && block.length <= SEGMENT_BYTES;
}

/**
 * Sets orientation 1 and colour space sRGB, and removes what is said of the file that was read, a density that cannot be, and the
 * second directory, which would be a thumbnail of it.
 * @param isSame whether the result has the pixels of the file where they were, so that what counts them stays true
 */
function uprightExif(block: Buffer, isSame: boolean): Buffer {
  const exif = new Exif(block);
  try {
    const { first } = exif;
    const details = exif.directory(first, TAG.exif);
    const index = details === undefined ? undefined : exif.directory(details, TAG.interoperability);
    for (const entry of [...exif.entries(first), ...(details === undefined ? [] : exif.entries(details))]) {
      if (entry.tag === TAG.orientation || entry.tag === TAG.colourSpace) exif.setShort(entry, 1);
    }
    exif.write(exif.linkOf(first), 4, 0);
    // libvips writes 72 then, which stands for "unknown".
    const density = densityOf(block) === undefined ? [TAG.xResolution, TAG.yResolution, TAG.resolutionUnit] : [];
    exif.remove(first, [...UNTRUE_TAGS.first, ...density]);
    if (details !== undefined)
      exif.remove(details, [...UNTRUE_TAGS.details, ...(isSame ? [] : UNTRUE_TAGS.detailsOfSize)]);
    if (index !== undefined) uprightIndex(exif, index);
  } catch {
    return Buffer.alloc(0); // an offset points outside the block, so none of it can be trusted
  }
  return exif.block;
}

/** @param index the directory of interoperability */
function uprightIndex(exif: Exif, index: number): void {
  const name = exif.entries(index).find(({ tag }) => tag === TAG.interoperabilityIndex);
  // R98 is sRGB (DCF).
  if (name?.type === 2 && name.count === 4) exif.tiff.write('R98', name.value, 'latin1');
  exif.remove(index, UNTRUE_TAGS.interoperability);
}

/**
 * States the density of a JPEG in its JFIF header, or of a PNG in pHYs, and in no other way. libvips writes a density that nobody
 * stated into some files, and leaves one out of others.
 * @param density in pixels per inch; undefined removes it
 */
export function withDensity(file: Buffer, density: number | undefined): Buffer {
  if (file.readUInt16BE(0) === 0xffd8) {
    const has = file.readUInt16BE(2) === 0xffe0;
    const rest = file.subarray(has ? 4 + file.readUInt16BE(4) : 2);
    const header = density === undefined ? [] : [segment(0xe0, jfif(density))];
    return has || density !== undefined ? Buffer.concat([file.subarray(0, 2), ...header, rest]) : file;
  }
  if (file.toString('latin1', 1, 4) !== 'PNG') return file;
  const [from, to] = physOf(file);
  if (density === undefined) return from === to ? file : Buffer.concat([file.subarray(0, from), file.subarray(to)]);
  return Buffer.concat([file.subarray(0, from), phys(density), file.subarray(to)]);
}

/** Where a PNG has its pHYs, or where it can have one. */
function physOf(file: Buffer): readonly [from: number, to: number] {
  for (let at = IHDR_END; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    const type = file.toString('latin1', at + 4, at + 8);
    if (type === 'pHYs') return [at, at + 12 + file.readUInt32BE(at)];
    if (type === 'IDAT') break;
  }
  return [IHDR_END, IHDR_END];
}

function phys(density: number): Buffer {
  const chunk = Buffer.alloc(21);
  chunk.writeUInt32BE(9);
  chunk.write('pHYs', 4, 'latin1');
  for (const at of [8, 12]) chunk.writeUInt32BE(Math.round(density / 0.0254), at);
  chunk[16] = 1; // in pixels per metre
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 17)), 17);
  return chunk;
}

/** Content of an APP0 segment (JFIF 1.02). @param density in pixels per inch */
function jfif(density: number): Buffer {
  const content = Buffer.from('JFIF\0\x01\x02\x01\0\0\0\0\0\0', 'latin1');
  content.writeUInt16BE(density, 8);
  content.writeUInt16BE(density, 10);
  return content;
}
