/** Reads the blocks of a sequential scan (ITU-T T.81, F.2.2), to find out whether they are there. It keeps no pixels. */
import { difference, ENDS, type HuffmanTable } from './huffman.js';
import type { BitWindow } from './window.js';

/** One block of an MCU: the component's place in `predictions`, and its tables. */
export interface BlockTables {
  readonly component: number;
  readonly dc: HuffmanTable;
  readonly ac: HuffmanTable;
  /** Limit of the component's DC coefficient before its dequantisation. */
  readonly mostDc: number;
}

export type Fault =
  | 'ends before the last block'
  | 'has an invalid code'
  | 'has a block of more than 64 coefficients'
  | 'has a value out of range';

/** Answers of a slow step: the code ends its block, or no code starts like this. */
const END = -1;
const INVALID = -2;

/**
 * Reads `count` MCUs. A check spends its time in this loop. So the loop takes several codes at once, and leaves what is rare to
 * functions.
 * @param predictions the last DC coefficient of each component
 * @returns what is wrong with the first block that cannot be right
 */
export function readMcus(
  window: BitWindow,
  mcu: readonly BlockTables[],
  count: number,
  predictions: Int32Array,
): Fault | undefined {
  const { view } = window;
  let { at, lastStart } = window;
  // All tables of a file have the same number of bits.
  const unused = 32 - (mcu[0]?.dc.bits ?? 0);
  for (let i = 0; i < count; i++) {
    if (at > lastStart) {
      window.at = at;
      if (!window.fill()) return 'ends before the last block';
      ({ at, lastStart } = window);
    }
    for (const { component, dc, ac, mostDc } of mcu) {
      const { one, many } = ac;
      const first = dc.value[(view.getInt32(at >> 3) << (at & 7)) >>> unused] ?? 0;
      if (first !== 0) {
        at += first & 255;
        predictions[component] = (predictions[component] ?? 0) + (first >> 8);
      } else {
        window.at = at;
        if (longDc(window, dc, predictions, component) === INVALID) return 'has an invalid code';
        ({ at } = window);
      }
      const level = predictions[component] ?? 0;
      if (level > mostDc || level < -mostDc) return 'has a value out of range';
      for (let k = 0; k < 63;) {
        const index = (view.getInt32(at >> 3) << (at & 7)) >>> unused;
        let entry = many[index] ?? 0;
        // Of several codes, the last ones may belong to the next block.
        if (k + ((entry >> 4) & 255) >= 63) entry = one[index] ?? 0;
        if (entry !== 0) {
          at += entry & 15;
          if (entry >= ENDS) break;
          k += entry >> 4;
        } else {
          window.at = at;
          const advance = longAc(window, ac);
          ({ at } = window);
          if (advance === INVALID) return 'has an invalid code';
          if (advance === END) break;
          k += advance;
        }
        if (k > 63) return 'has a block of more than 64 coefficients';
      }
    }
  }
  window.at = at;
  return window.left < 0 ? 'ends before the last block' : undefined;
}

/** Reads a DC coefficient whose code and value are longer than the look-up. @returns 1, or INVALID if no such code exists */
function longDc(window: BitWindow, dc: HuffmanTable, predictions: Int32Array, component: number): number {
  const size = symbolOf(window, dc);
  if (size < 0 || size > 15) return INVALID;
  predictions[component] = (predictions[component] ?? 0) + difference(peek(window, size), size);
  window.at += size;
  return 1;
}

/** @returns how many coefficients a code stands for, END or INVALID */
function longAc(window: BitWindow, ac: HuffmanTable): number {
  const symbol = symbolOf(window, ac);
  if (symbol < 0) return INVALID;
  window.at += symbol & 15;
  return (symbol & 15) > 0 || symbol === 0xf0 ? (symbol >> 4) + 1 : END;
}

/** The symbol of the next code, or -1 if no code starts so. */
function symbolOf(window: BitWindow, { bits: lookUpBits, code, limit, offset, symbols }: HuffmanTable): number {
  const entry = code[peek(window, lookUpBits)] ?? 0;
  if (entry !== 0) {
    window.at += entry & 255;
    return entry >> 8;
  }
  const bits = peek(window, 16);
  let length = lookUpBits + 1;
  while (bits >= (limit[length] ?? Infinity)) length++;
  if (length > 16) return -1;
  window.at += length;
  return symbols[(bits >> (16 - length)) + (offset[length] ?? 0)] ?? -1;
}

/** The next bits, of which there may be 25. */
function peek({ view, at }: BitWindow, count: number): number {
  return count === 0 ? 0 : (view.getInt32(at >> 3) << (at & 7)) >>> (32 - count);
}
