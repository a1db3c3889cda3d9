/** Follows the codes of a fax (ITU-T T.6, group 4) without making pixels, to find whether every row is there. */
import { damaged } from './directory.js';

/** Rows between two pauses. */
const ROWS_A_TURN = 500;
/** Bits of the longest code of a run. */
const RUN_BITS = 13;

/** Codes of runs of 0 to 63, then of 64 to 1,728 in steps of 64 (T.4, tables 2 and 3a). */
const WHITE = `00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 101011
  0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011 00011010
  00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011 00101100 00101101
  00000100 00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010
  01011011 01001010 01001011 00110010 00110011 00110100
  11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010
  011010011 011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001
  010011010 011000 010011011`;
const BLACK = `0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000
  0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111 00000011000
  000011001010 000011001011 000011001100 000011001101 000001101000 000001101001 000001101010 000001101011 000011010010
  000011010011 000011010100 000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011
  000001010100 000001010101 000001010110 000001010111 000001100100 000001100101 000001010010 000001010011 000000100100
  000000110111 000000111000 000000100111 000000101000 000001011000 000001011001 000000101011 000000101100 000001011010
  000001100110 000001100111
  0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100 0000001101101
  0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100 0000001110101
  0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 0000001011010 0000001011011
  0000001100100 0000001100101`;
/** Codes of runs of 1,792 to 2,560, of both colours (T.4, table 3b). */
const LONG = `00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110
  000000010111 000000011100 000000011101 000000011110 000000011111`;

const PASS = 8;
const HORIZONTAL = 9;
/** Codes of modes: how far the change lies from that of the row above, or PASS, or HORIZONTAL. */
const MODES: readonly (readonly [string, number])[] = [
  ['1', 0],
  ['011', 1],
  ['000011', 2],
  ['0000011', 3],
  ['010', -1],
  ['000010', -2],
  ['0000010', -3],
  ['0001', PASS],
  ['001', HORIZONTAL],
];

/** For each beginning of 13 bits: the value of the code, and its bits. Zero bits: no code. */
interface Codes {
  readonly values: Int16Array;
  readonly bits: Uint8Array;
}

function codesOf(list: readonly (readonly [code: string, value: number])[]): Codes {
  const codes = { values: new Int16Array(1 << RUN_BITS), bits: new Uint8Array(1 << RUN_BITS) };
  for (const [code, value] of list) {
    const from = parseInt(code, 2) << (RUN_BITS - code.length);
    codes.values.fill(value, from, from + (1 << (RUN_BITS - code.length)));
    codes.bits.fill(code.length, from, from + (1 << (RUN_BITS - code.length)));
  }
  return codes;
}

function runsOf(own: string): Codes {
  const short = own.split(/\s+/).map((code, i) => [code, i < 64 ? i : (i - 63) * 64] as const);
  const long = LONG.split(/\s+/).map((code, i) => [code, 1_792 + i * 64] as const);
  return codesOf([...short, ...long]);
}

const RUNS = [runsOf(WHITE), runsOf(BLACK)] as const;
const MODE_CODES = codesOf(MODES);

/**
 * Follows this many rows. Yields now and then, for the event loop.
 * @throws JobError `INPUT_CORRUPT` unless they are all there, and nothing else
 */
export function* followFax(data: Buffer, width: number, rows: number): Generator<undefined, void> {
  const bits = new Bits(data);
  let above: number[] = [];
  for (let row = 0; row < rows; row++) {
    if (row % ROWS_A_TURN === ROWS_A_TURN - 1) yield;
    above = nextRow(bits, above, width);
  }
  bits.mustEnd();
}

/** @param above where the colour changes in the row above. @returns the same of the next row */
function nextRow(bits: Bits, above: readonly number[], width: number): number[] {
  const changes: number[] = [];
  let [at, colour, i] = [0, 0, 0];
  let isFirst = true;
  while (at < width) {
    // The next change above of the same kind, behind the current place.
    while (i > 0 && (above[i - 1] ?? 0) > at) i--;
    while (i < above.length && ((above[i] ?? 0) < at || ((above[i] ?? 0) === at && !isFirst) || (i & 1) !== colour))
      i++;
    const mode = bits.take(MODE_CODES);
    if (mode === PASS) at = above[i + 1] ?? width;
    else if (mode === HORIZONTAL) {
      for (const one of [colour, 1 - colour]) {
        at += bits.run(one);
        changes.push(at);
      }
    } else {
      const to = (above[i] ?? width) + mode;
      if (to < at) throw damaged('a fax code leads backwards');
      at = to;
      changes.push(at);
      colour = 1 - colour;
    }
    isFirst = false;
    if (at > width) throw damaged('a fax code leads out of its row');
  }
  return changes.filter((change) => change < width);
}

class Bits {
  #at = 0;
  constructor(private readonly data: Buffer) {}

  /** The value of the next code. */
  take({ values, bits }: Codes): number {
    const next = this.#peek();
    const length = bits[next] ?? 0;
    this.#at += length;
    if (length === 0 || this.#at > this.data.length * 8) throw damaged('its fax data have a code that means nothing');
    return values[next] ?? 0;
  }

  /** A run: codes of 64 and more, up to one that is below. */
  run(colour: number): number {
    let length = 0;
    for (;;) {
      const value = this.take(RUNS[colour === 0 ? 0 : 1]);
      length += value;
      if (value < 64) return length;
    }
  }

  /** @throws JobError `INPUT_CORRUPT` if more rows follow */
  mustEnd(): void {
    if (this.#at + 24 > this.data.length * 8 || this.#peek() >> 1 === 1) return;
    throw damaged('its fax data go on behind the last row');
  }

  #peek(): number {
    const byte = this.#at >> 3;
    const word = ((this.data[byte] ?? 0) << 16) | ((this.data[byte + 1] ?? 0) << 8) | (this.data[byte + 2] ?? 0);
    return (word >> (24 - RUN_BITS - (this.#at & 7))) & ((1 << RUN_BITS) - 1);
  }
}
