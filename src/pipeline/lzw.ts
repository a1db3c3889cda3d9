/** Follows LZW codes of TIFF and GIF without making the pixels, to find whether all of them are there. */

/** Codes between two pauses. */
const CODES_A_TURN = 50_000;
const MOST_CODES = 4096;

export interface LzwData {
  readonly data: Buffer;
  /** Bits of a literal: 8 in TIFF, 2 to 8 in GIF. */
  readonly literalBits: number;
  /** Values that a literal may have; a GIF's palette can be smaller than its codes. */
  readonly symbols: number;
  /** Bytes or pixels that are expected. It stops at the first code beyond them. */
  readonly most: number;
  /** TIFF packs codes from the highest bit on, and widens them one code early; GIF does neither. */
  readonly kind: 'tiff' | 'gif';
}

/** How many bytes or pixels the codes stand for. `invalid` codes belong to no file. */
export type LzwLength = number | 'invalid';

/** Yields now and then, for the event loop. */
export function* followLzw(lzw: LzwData): Generator<undefined, LzwLength> {
  const walk = new Walk(lzw);
  for (;;) {
    const end = walk.next(CODES_A_TURN);
    if (end !== undefined) return end;
    yield;
  }
}

class Walk {
  /** How much each code stands for. */
  readonly #lengths = new Uint16Array(MOST_CODES);
  readonly #clear: number;
  #at = 0;
  /** Bits that were read and belong to no code yet, and how many they are. */
  #held = 0;
  #bits = 0;
  #width: number;
  #next: number;
  /** How much the code before stands for; 0 behind a clear code. */
  #before = 0;
  #length = 0;

  constructor(private readonly lzw: LzwData) {
    this.#clear = 1 << lzw.literalBits;
    this.#width = lzw.literalBits + 1;
    this.#next = this.#clear + 2;
  }

  /** Follows so many codes. @returns undefined if more follow */
  next(count: number): LzwLength | undefined {
    const { data, symbols, most, kind, literalBits } = this.lzw;
    const [lengths, clear, isTiff] = [this.#lengths, this.#clear, kind === 'tiff'];
    let [at, held, bits, width, next, before, length] = [
      ...([this.#at, this.#held, this.#bits, this.#width] as const),
      ...([this.#next, this.#before, this.#length] as const),
    ];
    for (; count > 0; count--) {
      while (bits < width) {
        if (at >= data.length) return length;
        const byte = data[at++] ?? 0;
        held = isTiff ? ((held << 8) | byte) & 0xffffff : held | (byte << bits);
        bits += 8;
      }
      bits -= width;
      const code = (isTiff ? held >>> bits : held) & ((1 << width) - 1);
      if (!isTiff) held >>>= width;
      if (code === clear) {
        width = literalBits + 1;
        next = clear + 2;
        before = 0;
        continue;
      }
      if (code === clear + 1) return length;
      const isKnown =
        code < clear ? code < symbols : before > 0 && (code < next || (code === next && next < MOST_CODES));
      if (!isKnown) return 'invalid';
      const own = code < clear ? 1 : code === next ? before + 1 : (lengths[code] ?? 0);
      if (before > 0 && next < MOST_CODES) lengths[next++] = before + 1;
      if (width < 12 && next + (isTiff ? 1 : 0) >= 1 << width) width++;
      before = own;
      length += own;
      if (length > most) return length;
    }
    [this.#at, this.#held, this.#bits, this.#width] = [at, held, bits, width];
    [this.#next, this.#before, this.#length] = [next, before, length];
    return undefined;
  }
}
