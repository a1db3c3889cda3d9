/** Bytes of a window. It fits into a processor's cache beside the tables. */
const WINDOW_BYTES = 65_536;
/** More than the largest MCU takes: 10 blocks of 64 codes with their values, 31 bits each. */
const MARGIN = 4_096;

/**
 * The bits of entropy-coded data up to the next marker, without the zero bytes that follow data bytes of 0xff (ITU-T T.81,
 * B.1.1.5). Only a part is in memory at a time.
 */
export class BitWindow {
  readonly #bytes = Buffer.alloc(WINDOW_BYTES + MARGIN);
  readonly view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  /** Offset of the next bit. */
  at = 0;
  /** Number of bytes in the window. */
  #length = 0;
  /** Offset in the file of the first byte that is not in the window. */
  #next: number;
  #isLast = false;

  /** @param from offset of the first byte of the data */
  constructor(
    readonly jpeg: Buffer,
    from: number,
  ) {
    this.#next = from;
    this.fill();
  }

  /** Starts again with data elsewhere in the file. */
  moveTo(from: number): void {
    this.#next = from;
    this.#length = 0;
    this.#isLast = false;
    this.at = 0;
    this.fill();
  }

  /** Offset of the last bit at which an MCU may start. An MCU that starts later needs data that are not in the window yet. */
  get lastStart(): number {
    return (this.#isLast ? this.#length : this.#length - MARGIN) * 8;
  }

  /** Bits that the data have left; negative if more were read. Infinity unless the end is in the window. */
  get left(): number {
    return this.#isLast ? this.#length * 8 - this.at : Infinity;
  }

  /** Offset in the file of what ends the data: a marker, or the end of the file. */
  get end(): number {
    return this.#next;
  }

  /** Offset in the file behind the last bit; more, if there are data bytes of 0xff in the rest of the window. */
  get position(): number {
    return this.#next - Math.max(0, this.#length - Math.ceil(this.at / 8));
  }

  /** Moves the window on. Behind the end of the data it has zeros. @returns false at the end of the data */
  fill(): boolean {
    if (this.#isLast) return false;
    const { jpeg } = this;
    const bytes = this.#bytes;
    const done = this.at >> 3;
    bytes.copyWithin(0, done, this.#length);
    this.at &= 7;
    let length = this.#length - done;
    while (length < WINDOW_BYTES) {
      const found = jpeg.indexOf(0xff, this.#next);
      const stop = found < 0 ? jpeg.length : found;
      const copied = Math.min(stop - this.#next, WINDOW_BYTES - length);
      jpeg.copy(bytes, length, this.#next, this.#next + copied);
      length += copied;
      this.#next += copied;
      if (this.#next < stop || length === WINDOW_BYTES) continue;
      let fill = stop + 1;
      while (jpeg[fill] === 0xff) fill++;
      if (found < 0 || jpeg[fill] !== 0) {
        this.#isLast = true;
        bytes.fill(0, length, length + MARGIN);
        break;
      }
      bytes[length++] = 0xff;
      this.#next = fill + 1;
    }
    this.#length = length;
    return true;
  }

  /**
   * Whether the byte of the last bit ends as encoders end it: with ones (F.1.2.3). Then bytes that follow are not the
   * rest of blocks. Lost data that became zeros do not end like this.
   */
  get isPadded(): boolean {
    const unused = -this.at & 7;
    const byte = this.#bytes[(this.at - 1) >> 3] ?? 0;
    const ones = (1 << unused) - 1;
    return (byte & ones) === ones && byte !== 0;
  }
}
