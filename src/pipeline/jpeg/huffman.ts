/** Huffman tables of a JPEG (ITU-T T.81, annex C), as look-up tables for a walk that skips values. */
import { damaged } from './markers.js';

/**
 * Bits of the look-up. Most codes with the bits of their value are shorter than 13. To make tables of 13 bits takes eight times
 * as long as of 10, which pays only in a large file.
 */
const [FEW_BITS, MANY_BITS] = [10, 13];
const LARGE_BYTES = 256 * 1024;

/** Flag of an entry whose last code ends the block. */
export const ENDS = 1 << 12;

/**
 * One table, by the next bits. An entry of `one` and `many` is `bits | advance << 4`: the bits of codes and values, and the
 * coefficients that they stand for; with {@link ENDS}. 0 means that the first code or its value is longer.
 */
export interface HuffmanTable {
  /** Bits of the look-up. */
  readonly bits: number;
  /** For AC coefficients, else empty: the first code only. */
  readonly one: Uint16Array;
  /** For AC coefficients, else empty: as many codes as fit. */
  readonly many: Uint16Array;
  /** For DC coefficients, else empty: `bits | difference << 8`; 0 if they are longer. */
  readonly value: Int32Array;
  /** `length | symbol << 8` of the first code; 0 if it is longer. */
  readonly code: Uint16Array;
  /** For each length: the first 16 bits above its codes, and what leads from a code to the place of its symbol. */
  readonly limit: Int32Array;
  readonly offset: Int32Array;
  readonly symbols: Buffer;
}

/** A table as a DHT segment has it: the number of codes of each length, 1 to 16, and their symbols, of which the first is all zeros. */
export interface TableSource {
  readonly counts: Buffer;
  readonly symbols: Buffer;
}

/**
 * Tables made lately, the oldest first. Most encoders write the tables of annex K, and the two chroma components of a file share
 * theirs.
 */
const made = new Map<string, HuffmanTable>();
const MOST_MADE = 64;

/**
 * The table that the DC or AC coefficients of a scan need. A file may have any number of tables.
 * @param bytes of the file
 * @throws JobError `INPUT_CORRUPT` if the codes do not fit
 */
export function huffmanTable(source: TableSource, coefficients: 'dc' | 'ac', bytes: number): HuffmanTable {
  const bits = bytes < LARGE_BYTES ? FEW_BITS : MANY_BITS;
  const key = `${coefficients}${bits} ${source.counts.toString('latin1')}${source.symbols.toString('latin1')}`;
  const table = made.get(key) ?? makeTable(source, coefficients, bits);
  made.delete(key);
  made.set(key, table);
  const [oldest] = made.keys();
  if (made.size > MOST_MADE && oldest !== undefined) made.delete(oldest);
  return table;
}

function makeTable({ counts, symbols }: TableSource, coefficients: 'dc' | 'ac', bits: number): HuffmanTable {
  const code = new Uint16Array(1 << bits);
  const [limit, offset] = [new Int32Array(18), new Int32Array(18)];
  let [next, index] = [0, 0];
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1] ?? 0;
    offset[length] = index - next;
    if (next + count > 1 << length) throw damaged('its Huffman codes do not fit');
    for (let i = 0; i < count && length <= bits; i++) {
      const shift = bits - length;
      code.fill(length | ((symbols[index + i] ?? 0) << 8), (next + i) << shift, (next + i + 1) << shift);
    }
    index += count;
    next += count;
    limit[length] = next << (16 - length);
    next <<= 1;
  }
  limit[17] = 1 << 16;
  const value =
    coefficients === 'dc'
      ? Int32Array.from(code, (entry, index) => differenceOf(entry, index, bits))
      : new Int32Array();
  const one = coefficients === 'ac' ? code.map((entry) => firstOf(entry, bits)) : new Uint16Array();
  const many = one.map((_, start) => allOf(one, start, bits));
  // The source is a view of the file, which must not stay in memory with the table.
  return { bits, one, many, value, code, limit, offset, symbols: Buffer.from(symbols) };
}

function firstOf(code: number, lookUpBits: number): number {
  const [length, symbol] = [code & 255, code >> 8];
  const [run, size] = [symbol >> 4, symbol & 15];
  if (length === 0 || length + size > lookUpBits) return 0;
  // The end of the block is 0x00. Decoders take any run without a value for it, except that of 16 zeros.
  if (size === 0 && run !== 15) return length | ENDS;
  return (length + size) | ((run + 1) << 4);
}

/** A DC symbol states how many bits follow; these are the difference from the block before. */
function differenceOf(code: number, index: number, lookUpBits: number): number {
  const [length, size] = [code & 255, code >> 8];
  const rest = lookUpBits - length - size;
  if (length === 0 || rest < 0) return 0;
  return (length + size) | (difference((index >> rest) & ((1 << size) - 1), size) << 8);
}

/** The number that the bits of a value stand for (F.1.2.1.1). */
export function difference(value: number, size: number): number {
  return size === 0 || value >> (size - 1) ? value : value - (1 << size) + 1;
}

function allOf(one: Uint16Array, index: number, lookUpBits: number): number {
  let all = 0;
  for (let used = 0; ;) {
    const entry = one[(index << used) & (one.length - 1)] ?? 0;
    used += entry & 15;
    if (entry === 0 || used > lookUpBits) return all;
    all += entry;
    if (entry >= ENDS) return all;
  }
}
