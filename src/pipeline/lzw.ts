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

/** What the codes stand for: so many bytes or pixels, and whether the end code came. `invalid` codes belong to no file. */
export type LzwEnd = { readonly length: number; readonly ended: boolean } | 'invalid';

/** Yields now and then, for the event loop. */
export function* followLzw({ data, literalBits, symbols, most, kind }: LzwData): Generator<undefined, LzwEnd> {
  const clear = 1 << literalBits;
  const lengths = new Uint16Array(MOST_CODES);
  const nextCode = codesOf(data, kind);
  let [width, next, before, length] = [literalBits + 1, clear + 2, 0, 0];
  for (let count = 1; ; count++) {
    if (count % CODES_A_TURN === 0) yield;
    const code = nextCode(width);
    if (code < 0) return { length, ended: false };
    if (code === clear) {
      [width, next, before] = [literalBits + 1, clear + 2, 0];
      continue;
    }
    if (code === clear + 1) return { length, ended: true };
    if (code < clear ? code >= symbols : before === 0 || code > next || code >= MOST_CODES) return 'invalid';
    const own = code < clear ? 1 : code === next ? before + 1 : (lengths[code] ?? 0);
    if (before > 0 && next < MOST_CODES) lengths[next++] = before + 1;
    else if (code === next) return 'invalid';
    if (next + (kind === 'tiff' ? 1 : 0) >= 1 << width && width < 12) width++;
    before = own;
    length += own;
    if (length > most) return { length, ended: false };
  }
}

/** Reads codes of a given width, one after the other; -1 past the end. */
function codesOf(data: Buffer, kind: LzwData['kind']): (width: number) => number {
  let [at, bits, held] = [0, 0, 0];
  return (width) => {
    while (bits < width) {
      if (at >= data.length) return -1;
      const byte = data[at++] ?? 0;
      held = kind === 'tiff' ? ((held << 8) | byte) & 0xffffff : held | (byte << bits);
      bits += 8;
    }
    bits -= width;
    if (kind === 'tiff') return (held >>> bits) & ((1 << width) - 1);
    const code = held & ((1 << width) - 1);
    held >>>= width;
    return code;
  };
}
