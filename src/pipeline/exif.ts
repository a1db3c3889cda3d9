/** Reads and changes EXIF blocks in place (CIPA DC-008; TIFF 6.0, section 2). */

import { densityIn } from './density.js';

export const TAG = {
  width: 0x0100,
  height: 0x0101,
  bits: 0x0102,
  orientation: 0x0112,
  xResolution: 0x011a,
  yResolution: 0x011b,
  resolutionUnit: 0x0128,
  exif: 0x8769,
  interoperability: 0xa005,
  colourSpace: 0xa001,
  interoperabilityIndex: 0x0001,
} as const;

/** What the directories of a block say about the file that was read, and not about the photograph. */
export const UNTRUE_TAGS = {
  /** How its pixels were stored, in which colours, and other blocks that belong to it. */
  first: [
    ...[TAG.width, TAG.height, TAG.bits, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011c],
    ...[0x012d, 0x013e, 0x013f, 0x0211, 0x0212, 0x0214], // TransferFunction, WhitePoint, PrimaryChromaticities, YCbCr*, ReferenceBlackWhite
    ...[0x0142, 0x0143, 0x0144, 0x0145, 0x014a, 0x0201, 0x0202], // tiles, SubIFDs, thumbnail
    ...[0x02bc, 0x83bb, 0x8649, 0x8773], // XMP, IPTC, Photoshop, ICC
  ],
  /** CompressedBitsPerPixel, Gamma. */
  details: [0x9102, 0xa500],
  /** SubjectArea, SubjectLocation, FocalPlane*: they count pixels. */
  detailsOfSize: [0x9214, 0xa214, 0xa20e, 0xa20f, 0xa210],
  /** RelatedImageFileFormat, RelatedImageWidth, RelatedImageHeight. */
  interoperability: [0x1000, 0x1001, 0x1002],
} as const;

/** Most bytes that a segment of a JPEG can hold (ITU-T T.81, B.1.1.4), and so the longest block of EXIF. */
export const SEGMENT_BYTES = 65_533;
const PREFIX = 'Exif\0\0';
/** Bytes of a value of each type: BYTE, ASCII, SHORT, LONG, RATIONAL and so on. */
const SIZES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

export interface Entry {
  readonly tag: number;
  readonly type: number;
  readonly count: number;
  /** Offset of the entry, and of its values. */
  readonly at: number;
  readonly value: number;
}

export class Exif {
  /** The TIFF structure without its prefix; a copy. */
  readonly tiff: Buffer;
  readonly #little: boolean;

  constructor(block: Buffer) {
    this.tiff = Buffer.from(block.subarray(block.toString('latin1', 0, PREFIX.length) === PREFIX ? PREFIX.length : 0));
    this.#little = this.tiff.toString('latin1', 0, 2) === 'II';
  }

  get block(): Buffer {
    return Buffer.concat([Buffer.from(PREFIX, 'latin1'), this.tiff]);
  }

  /** Offset of the first directory. All methods throw RangeError if an offset leads out of the block. */
  get first(): number {
    return this.read(4, 4);
  }

  /** The entries of a directory that lie within the block. */
  entries(directory: number): Entry[] {
    return Array.from({ length: this.read(directory, 2) }, (_, i) => {
      const at = directory + 2 + i * 12;
      const [tag, type, count] = [this.read(at, 2), this.read(at + 2, 2), this.read(at + 4, 4)];
      const bytes = (SIZES[type] ?? 0) * count;
      return { tag, type, count, at, value: bytes > 4 ? this.read(at + 8, 4) : at + 8 };
    });
  }

  /** Offset of the link to the next directory. */
  linkOf(directory: number): number {
    return directory + 2 + this.read(directory, 2) * 12;
  }

  /** The directory that an entry of another one points to. */
  directory(from: number, tag: number): number | undefined {
    const entry = this.entries(from).find((one) => one.tag === tag);
    return entry && this.read(entry.value, 4);
  }

  /** The first value of an entry, whatever its type. NaN or infinite for a rational without a denominator. */
  number({ type, value }: Entry): number | undefined {
    const size = SIZES[type] ?? 0;
    if (type === 5 || type === 10) return this.read(value, 4) / this.read(value + 4, 4);
    return size === 1 || size === 2 || size === 4 ? this.read(value, size) : undefined;
  }

  /** Makes an entry a single SHORT. The standard permits SHORT for every tag that is set like this. */
  setShort({ at }: Entry, number: number): void {
    this.write(at + 2, 2, 3);
    this.write(at + 4, 4, 1);
    this.write(at + 8, 4, 0);
    this.write(at + 8, 2, number);
  }

  /** Removes entries. The directory's link follows the last one, so it moves up with them. */
  remove(directory: number, tags: readonly number[]): void {
    const entries = this.entries(directory);
    const kept = entries.filter(({ tag }) => !tags.includes(tag));
    const parts = kept.map(({ at }) => Buffer.from(this.tiff.subarray(at, at + 12)));
    const link = Buffer.from(this.tiff.subarray(this.linkOf(directory), this.linkOf(directory) + 4));
    const end = directory + 2 + entries.length * 12 + 4;
    this.tiff.fill(0, directory + 2, end);
    Buffer.concat([...parts, link]).copy(this.tiff, directory + 2);
    this.write(directory, 2, kept.length);
  }

  read(at: number, bytes: 1 | 2 | 4): number {
    return this.#little ? this.tiff.readUIntLE(at, bytes) : this.tiff.readUIntBE(at, bytes);
  }

  write(at: number, bytes: 1 | 2 | 4, value: number): void {
    if (this.#little) this.tiff.writeUIntLE(value, at, bytes);
    else this.tiff.writeUIntBE(value, at, bytes);
  }
}

/** Pixels per inch that EXIF states; undefined if it states none, or 72, which stands for "unknown" (DC-008, 4.6.8). */
export function densityOf(block: Buffer | undefined): number | undefined {
  if (block === undefined || block.length > SEGMENT_BYTES) return undefined;
  try {
    const exif = new Exif(block);
    const entries = exif.entries(exif.first);
    const numberOf = (tag: number) => {
      const entry = entries.find((one) => one.tag === tag);
      return entry && exif.number(entry);
    };
    const across = numberOf(TAG.xResolution) ?? 0;
    const density = densityIn(numberOf(TAG.resolutionUnit) ?? 2, across, numberOf(TAG.yResolution) ?? across);
    return density === 72 ? undefined : density;
  } catch {
    return undefined; // an offset leads out of the block
  }
}

/** Whether a camera says that its colours are Adobe RGB, without a profile (DCF 2.0: index R03). */
export function isAdobeRgb(block: Buffer | undefined): boolean {
  if (block === undefined || block.length > SEGMENT_BYTES) return false;
  try {
    const exif = new Exif(block);
    const details = exif.directory(exif.first, TAG.exif);
    if (details === undefined) return false;
    const space = exif.entries(details).find(({ tag }) => tag === TAG.colourSpace);
    const index = exif.directory(details, TAG.interoperability);
    const name =
      index === undefined ? undefined : exif.entries(index).find(({ tag }) => tag === TAG.interoperabilityIndex);
    // 2 is no value of the standard, but what some cameras write.
    if (space && exif.number(space) === 2) return true;
    return name !== undefined && exif.tiff.toString('latin1', name.value, name.value + 3) === 'R03';
  } catch {
    return false; // an offset leads out of the block
  }
}
