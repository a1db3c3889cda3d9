/** Reads the structure of a TIFF, and finds whether every pixel of its first page is there. */
import { densityIn } from '../density.js';
import { Directory, TAG, TiffBytes } from './directory.js';
import { exifOf } from './exif.js';
import { type Layout, layoutOf } from './layout.js';
import { checkSegments } from './segments.js';

/** Bits of NewSubfileType: a smaller copy, a mask. */
const NO_PAGE = 1 | 4;

export class TiffFile {
  readonly #file: TiffBytes;
  readonly #first: Directory;
  readonly #layout: Layout;
  /** Offset of the first directory's link; undefined if it has none. */
  readonly #link: number | undefined;
  /** Pages; neither thumbnails nor masks are counted. */
  readonly frames: number;

  /** @throws JobError `UNSUPPORTED_FORMAT`, `INPUT_CORRUPT` */
  constructor(bytes: Buffer) {
    this.#file = new TiffBytes(bytes);
    const { offsets, link } = this.#file.directories();
    this.#link = offsets.length > 1 ? link : undefined;
    this.#first = new Directory(this.#file, offsets[0] ?? 0);
    this.#layout = layoutOf(this.#file, this.#first);
    const isPage = (at: number) => (this.#file.firstValueOf(at, TAG.subfile) & NO_PAGE) === 0;
    this.frames = 1 + offsets.slice(1).filter(isPage).length;
  }

  get codedPixels(): number {
    return this.#layout.codedPixels;
  }

  /** Bytes of the largest strip or tile, which the decoder holds as a whole, and of the copy of the file that `mended` makes. */
  get heldBytes(): number {
    const largest = this.#layout.segments.reduce((most, one) => Math.max(most, one.most), 0);
    // libvips holds a tile, a row of tiles, and a copy of that.
    const copies = this.#first.has(TAG.tileWidth) ? 3 : 1;
    return largest * copies + (this.#link === undefined ? 0 : this.#file.bytes.length);
  }

  /** Pixels per inch that the file states. */
  get density(): number | undefined {
    const across = this.#first.number(TAG.xResolution);
    return densityIn(this.#first.number(TAG.resolutionUnit, 2), across, this.#first.number(TAG.yResolution, across));
  }

  /** The EXIF of the first page, as a block of its own. */
  get exif(): Buffer | undefined {
    return exifOf(this.#file, this.#first);
  }

  /**
   * Checks that the data of every strip or tile make as many pixels as it has.
   * @throws JobError `INPUT_CORRUPT`
   */
  check(): Promise<void> {
    return checkSegments(this.#file.bytes, this.#layout, this.#first.bytesOf(TAG.jpegTables));
  }

  /** The file, or a copy that has its first page alone: libtiff reads all directories of a file. */
  mended(): Buffer {
    const { bytes, wordBytes } = this.#file;
    return this.#link === undefined ? bytes : Buffer.from(bytes).fill(0, this.#link, this.#link + wordBytes);
  }
}
