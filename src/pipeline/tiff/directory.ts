/** Reads the directories of a TIFF or BigTIFF (TIFF 6.0, section 2), within the bounds of the file. */
import { JobError } from '../../domain/errors.js';

export const TAG = {
  subfile: 254,
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  stripOffsets: 273,
  samples: 277,
  rowsPerStrip: 278,
  stripBytes: 279,
  xResolution: 282,
  yResolution: 283,
  planar: 284,
  fax3Options: 292,
  resolutionUnit: 296,
  predictor: 317,
  colourMap: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileBytes: 325,
  inkSet: 332,
  extraSamples: 338,
  sampleFormat: 339,
  jpegTables: 347,
} as const;

/** Bytes of a value of each type. */
const SIZES: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4 },
  ...{ 16: 8, 17: 8, 18: 8 },
};
const RATIONAL = 5;
/** Limit of entries. A usual directory has 20; a camera's has 100. */
const MAX_ENTRIES = 1_000;
/** Limit of directories: that of libtiff. */
const MAX_DIRECTORIES = 65_535;

export function damaged(message: string): JobError {
  return new JobError('INPUT_CORRUPT', `TIFF: ${message}`);
}

interface Entry {
  readonly type: number;
  readonly count: number;
  /** Offset of its values. */
  readonly at: number;
}

export class Directory {
  readonly #entries = new Map<number, Entry>();

  /** @throws JobError `INPUT_CORRUPT` for an entry whose values lie outside of the file */
  constructor(
    private readonly file: TiffBytes,
    at: number,
  ) {
    const { start, count, entryBytes } = file.headOf(at);
    if (count > MAX_ENTRIES) throw damaged(`expected at most ${MAX_ENTRIES} entries in a directory`);
    for (let i = 0; i < count; i++) {
      const entry = start + i * entryBytes;
      const tag = file.number(entry, 2);
      const [type, values] = [file.number(entry + 2, 2), file.number(entry + 4, file.wordBytes)];
      const bytes = (SIZES[type] ?? 1) * values;
      const inPlace = entry + 4 + file.wordBytes;
      const from = bytes <= file.wordBytes ? inPlace : file.number(inPlace, file.wordBytes);
      if (from + bytes > file.bytes.length) throw damaged(`the values of tag ${tag} lie outside of the file`);
      if (this.#entries.has(tag)) throw damaged(`tag ${tag} comes twice`);
      this.#entries.set(tag, { type, count: values, at: from });
    }
  }

  has(tag: number): boolean {
    return this.#entries.has(tag);
  }

  /** The first value of a tag. */
  number(tag: number, absent = 0): number {
    return this.numbers(tag, 1)[0] ?? absent;
  }

  /** The first values of a tag, at most so many; empty without it. */
  numbers(tag: number, most: number): number[] {
    const entry = this.#entries.get(tag);
    if (!entry) return [];
    const { type, count, at } = entry;
    const size = SIZES[type] ?? 1;
    return Array.from({ length: Math.min(count, most) }, (_, i) =>
      type === RATIONAL
        ? this.file.number(at + i * 8, 4) / this.file.number(at + i * 8 + 4, 4)
        : this.file.number(at + i * size, size),
    );
  }

  entries(): { readonly tag: number; readonly type: number; readonly count: number }[] {
    return [...this.#entries].map(([tag, { type, count }]) => ({ tag, type, count }));
  }

  countOf(tag: number): number {
    return this.#entries.get(tag)?.count ?? 0;
  }

  bytesOf(tag: number): Buffer | undefined {
    const entry = this.#entries.get(tag);
    return entry && this.file.bytes.subarray(entry.at, entry.at + entry.count * (SIZES[entry.type] ?? 1));
  }
}

/** The bytes of a file, in its own byte order. */
export class TiffBytes {
  readonly #little: boolean;
  /** Bytes of an offset: 8 in BigTIFF. */
  readonly wordBytes: 4 | 8;

  constructor(readonly bytes: Buffer) {
    this.#little = bytes.toString('latin1', 0, 2) === 'II';
    this.wordBytes = this.number(2, 2) === 43 ? 8 : 4;
    if (this.wordBytes === 8 && this.number(4, 2) !== 8) throw damaged('its offsets are of a size that does not exist');
  }

  /** @throws JobError `INPUT_CORRUPT` past the end of the file */
  number(at: number, size: number): number {
    if (at + size > this.bytes.length) throw damaged('it ends in a directory');
    if (size !== 8) return this.#little ? this.bytes.readUIntLE(at, size) : this.bytes.readUIntBE(at, size);
    return Number(this.#little ? this.bytes.readBigUInt64LE(at) : this.bytes.readBigUInt64BE(at));
  }

  /** Writes a number into other bytes, in the byte order of the file. */
  write(into: Buffer, at: number, size: 2 | 4, value: number): void {
    if (this.#little) into.writeUIntLE(value, at, size);
    else into.writeUIntBE(value, at, size);
  }

  headOf(directory: number) {
    const countBytes = this.wordBytes === 8 ? 8 : 2;
    const entryBytes = this.wordBytes === 8 ? 20 : 12;
    const count = this.number(directory, countBytes);
    const start = directory + countBytes;
    return { count, start, entryBytes, link: start + count * entryBytes };
  }

  /** The first value of a tag if it is the first of a directory; else 0. Entries are sorted by their tags. */
  firstValueOf(directory: number, tag: number): number {
    const { start, count } = this.headOf(directory);
    if (count === 0 || this.number(start, 2) !== tag) return 0;
    return this.number(start + 4 + this.wordBytes, this.number(start + 2, 2) === 3 ? 2 : 4);
  }

  /**
   * The offsets of all directories, and where the first one links to the next.
   * @throws JobError `INPUT_CORRUPT` for directories that link in a circle or out of the file
   */
  directories(): { readonly offsets: readonly number[]; readonly link: number } {
    const first = this.number(this.wordBytes, this.wordBytes);
    const { link } = this.headOf(first);
    const seen = new Set<number>();
    for (let at = first; at !== 0; at = this.number(this.headOf(at).link, this.wordBytes)) {
      if (seen.has(at)) throw damaged('its directories link in a circle');
      seen.add(at);
      if (seen.size > MAX_DIRECTORIES) throw damaged(`expected at most ${MAX_DIRECTORIES} directories`);
    }
    return { offsets: [...seen], link };
  }
}
