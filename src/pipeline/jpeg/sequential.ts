/** Walks the entropy-coded data of a sequential JPEG to its end, and finds whether every block is there. */
import { type BlockTables, readMcus } from './bits.js';
import type { Frame, Scan } from './frame.js';
import { huffmanTable, type TableSource } from './huffman.js';
import { damaged } from './markers.js';
import { BitWindow } from './window.js';

/** Tables that are in force when a scan starts. */
export interface Tables {
  readonly dc: readonly (TableSource | undefined)[];
  readonly ac: readonly (TableSource | undefined)[];
  /** The first value of each quantisation table. */
  readonly dcSteps: readonly (number | undefined)[];
  /** MCUs of a restart interval; 0 if there are none. */
  readonly restart: number;
}

/** MCUs between two pauses in which the event loop extends leases and answers health checks: some milliseconds. */
const MCUS_A_TURN = 8_000;
/**
 * Limit of a DC coefficient after its dequantisation. Samples of 8 bits give 1,024. Encoders that hide ringing go up to a
 * quarter above it.
 */
const MOST_DC = 1_536;

/** Most blocks of an MCU (B.2.3). `BitWindow` has room for so many. */
const MOST_BLOCKS = 10;

/**
 * @returns the offset behind the last block; one from which the next marker is found; and whether nothing is between them
 * @throws JobError `INPUT_CORRUPT` if a block is missing or cannot be right
 */
export async function walkScan(jpeg: Buffer, frame: Frame, scan: Scan, tables: Tables) {
  const { mcu, mcus } = layoutOf(frame, scan, tables, jpeg.length);
  const predictions = new Int32Array(frame.components.length);
  const interval = tables.restart || mcus;
  const window = new BitWindow(jpeg, scan.data);
  let turn = MCUS_A_TURN;
  for (let done = 0; ;) {
    const count = Math.min(mcus - done, interval - (done % interval), turn);
    const fault = readMcus(window, mcu, count, predictions);
    if (fault) throw damaged(`the entropy-coded data ${fault}`);
    done += count;
    turn -= count;
    if (turn === 0) {
      turn = MCUS_A_TURN;
      await new Promise((resume) => setImmediate(resume));
    }
    if (done === mcus) break;
    if (done % interval > 0) continue;
    const restart = markerAt(jpeg, window.end);
    if (window.left >= 8 || jpeg[restart + 1] !== 0xd0 + ((done / interval - 1) & 7)) {
      throw damaged('a restart marker is not where it has to be');
    }
    predictions.fill(0);
    window.moveTo(restart + 2);
  }
  const isExact = window.left < 8;
  if (!isExact && !window.isPadded) throw damaged('its data go on behind the last block');
  return { blocksEnd: window.position, end: window.end, isExact };
}

/** Which blocks an MCU has, and how many MCUs there are (A.2). */
function layoutOf({ width, height, components }: Frame, scan: Scan, { dc, ac, dcSteps }: Tables, bytes: number) {
  const [mostH, mostV] = [Math.max(...components.map(({ h }) => h)), Math.max(...components.map(({ v }) => v))];
  const alone = scan.components.length === 1;
  const mcu: BlockTables[] = [];
  for (const one of scan.components) {
    const { h = 1, v = 1, quantiser = 0 } = components[one.index] ?? {};
    const [forDc, forAc] = [dc[one.dc], ac[one.ac]];
    if (!forDc || !forAc) throw damaged('a scan needs a Huffman table that is not there');
    const mostDc = MOST_DC / (dcSteps[quantiser] ?? 1) + 1;
    const [dcTable, acTable] = [huffmanTable(forDc, 'dc', bytes), huffmanTable(forAc, 'ac', bytes)];
    const block = { component: one.index, dc: dcTable, ac: acTable, mostDc };
    mcu.push(...Array.from({ length: alone ? 1 : h * v }, () => block));
    if (alone) {
      const [across, down] = [Math.ceil((width * h) / (mostH * 8)), Math.ceil((height * v) / (mostV * 8))];
      return { mcu, mcus: across * down };
    }
  }
  if (mcu.length > MOST_BLOCKS) throw damaged(`expected at most ${MOST_BLOCKS} blocks in an MCU, given ${mcu.length}`);
  return { mcu, mcus: Math.ceil(width / (mostH * 8)) * Math.ceil(height / (mostV * 8)) };
}

/** The offset of a marker at `at`, behind fill bytes. */
function markerAt(jpeg: Buffer, at: number): number {
  let found = at;
  while (jpeg[found + 1] === 0xff) found++;
  return found;
}
