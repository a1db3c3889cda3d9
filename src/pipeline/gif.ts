/** Reads the structure of a GIF, and finds whether every pixel of its first frame is there. */
import { JobError } from '../domain/errors.js';
import type { Size } from '../domain/raster.js';
import { followLzw } from './lzw.js';
import { inPieces } from './turns.js';

const EXTENSION = 0x21;
const FRAME = 0x2c;
const TRAILER = 0x3b;
const GRAPHIC_CONTROL = 0xf9;
/** Offset of the global palette. */
const HEADER_BYTES = 13;
/** Limit of blocks: 64 MB in the blocks of 255 bytes that encoders write have 260,000. */
const MAX_BLOCKS = 1_000_000;

function damaged(message: string): JobError {
  return new JobError('INPUT_CORRUPT', `GIF: ${message}`);
}

/** An image descriptor and its data. */
interface Frame {
  readonly from: number;
  /** Offset of the data: the bits of a literal, then sub-blocks. */
  readonly data: number;
  readonly to: number;
  readonly colours: number;
}

/** A canvas, and where the picture lies on it. */
export interface Placed extends Size {
  readonly left: number;
  readonly top: number;
}

export class GifFile {
  readonly #first: Frame;
  /** The graphic control extension of the first frame. */
  readonly #control: Buffer;
  readonly frames: number;
  #blocks = 0;

  /** @throws JobError `INPUT_CORRUPT` */
  constructor(private readonly bytes: Buffer) {
    if (bytes.length < HEADER_BYTES) throw damaged('it ends in its header');
    let control: Buffer = Buffer.alloc(0);
    let first: Frame | undefined;
    let frames = 0;
    let at = HEADER_BYTES + paletteBytes(bytes[10] ?? 0);
    for (; at < bytes.length;) {
      const kind = bytes[at];
      if (kind === EXTENSION) {
        const end = this.#endOfBlocks(at + 2, first === undefined);
        if (!first && bytes[at + 1] === GRAPHIC_CONTROL) control = bytes.subarray(at, end);
        at = end;
      } else if (kind === FRAME) {
        const frame = this.#frame(at, first === undefined);
        first ??= frame;
        frames++;
        at = frame.to;
      } else break;
    }
    if (!first) throw damaged('it has no picture');
    this.#first = first;
    this.#control = control;
    this.frames = frames;
  }

  /**
   * Checks that the codes of the first frame make exactly its pixels.
   * @throws JobError `INPUT_CORRUPT`
   */
  async check(): Promise<void> {
    const { from, data, colours } = this.#first;
    const literalBits = this.bytes[data] ?? 0;
    if (literalBits < 2 || literalBits > 8) throw damaged('its codes are of a size that does not exist');
    const pixels = this.bytes.readUInt16LE(from + 5) * this.bytes.readUInt16LE(from + 7);
    const found = await inPieces(
      followLzw({ data: this.#codes(), literalBits, symbols: colours, most: pixels, kind: 'gif' }),
    );
    if (found === 'invalid') throw damaged('its data have a code that means nothing');
    if (found !== pixels) throw damaged(`${pixels} pixels expected, ${found} found`);
  }

  /** Where the first frame lies on a larger canvas, the rest of which is transparent; undefined if it is as large. */
  get placed(): Placed | undefined {
    const { from } = this.#first;
    const at = (offset: number) => this.bytes.readUInt16LE(from + offset);
    const [left, top, across, down] = [at(1), at(3), at(5), at(7)];
    // As libnsgif does, a canvas grows with a frame that goes beyond it.
    const width = Math.max(left + across, this.bytes.readUInt16LE(6));
    const height = Math.max(top + down, this.bytes.readUInt16LE(8));
    return width === across && height === down ? undefined : { left, top, width, height };
  }

  /**
   * A copy of the first frame alone, on a canvas of its size. libnsgif reads all frames of a file, does not believe some sizes of
   * canvases, and fills what a frame leaves free with black.
   */
  mended(): Buffer {
    const { from, to } = this.#first;
    const head = Buffer.from(this.bytes.subarray(0, HEADER_BYTES + paletteBytes(this.bytes[10] ?? 0)));
    const frame = Buffer.from(this.bytes.subarray(from, to));
    frame.copy(head, 6, 5, 9);
    frame.fill(0, 1, 5);
    return Buffer.concat([head, this.#control, frame, Buffer.from([TRAILER])]);
  }

  /** @param isNeeded whether a frame that the file cuts short is an error */
  #frame(from: number, isNeeded: boolean): Frame {
    const { bytes } = this;
    if (from + 11 > bytes.length) {
      if (isNeeded) throw damaged('it ends in a frame');
      return { from, data: from, to: bytes.length, colours: 0 };
    }
    const flags = bytes[from + 9] ?? 0;
    const own = paletteBytes(flags);
    const data = from + 10 + own;
    const colours = (own || paletteBytes(bytes[10] ?? 0)) / 3;
    if (isNeeded && bytes.readUInt16LE(from + 5) * bytes.readUInt16LE(from + 7) === 0)
      throw damaged('a frame is empty');
    return { from, data, to: this.#endOfBlocks(data + 1, isNeeded), colours: colours || 256 };
  }

  /** Offset behind the sub-blocks that begin at `at`. */
  #endOfBlocks(at: number, isNeeded: boolean): number {
    for (;;) {
      if (++this.#blocks > MAX_BLOCKS) throw damaged(`expected at most ${MAX_BLOCKS} blocks`);
      const length = this.bytes[at];
      if (length === undefined) {
        if (isNeeded) throw damaged('it ends in a block');
        return this.bytes.length;
      }
      at += length + 1;
      if (length === 0) return at;
    }
  }

  /** The contents of the first frame's sub-blocks, joined. */
  #codes(): Buffer {
    const { data, to } = this.#first;
    const joined = Buffer.allocUnsafe(to - data);
    let length = 0;
    for (let at = data + 1; at < to; at += (this.bytes[at] ?? 0) + 1) {
      length += this.bytes.copy(joined, length, at + 1, at + 1 + (this.bytes[at] ?? 0));
    }
    return joined.subarray(0, length);
  }
}

/** Bytes of a palette, from the flags of a screen or frame descriptor. */
function paletteBytes(flags: number): number {
  return flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
}
