/** Answers that have the right shape and cannot be right. */
import type { View } from './plans/plan.js';

/** The request is compared with its answer at this many positions across and down. */
const SAMPLES = 32;
/** The answer is checked as a whole, and in this many blocks across and down. */
const BLOCKS = 4;
/** Requests with a shorter side are not checked: a filter may make one colour of them. */
const LEAST_SIDE = 32;
/** Standard deviation, in levels of 255, from which a picture or a block is not even. */
const VARIED = 10;
const VARIED_BLOCK = 16;
/** Mean level from which a block is not dark. */
const LIT = 48;

/**
 * Whether an answer cannot be right: all of it is one colour although the request is not, or a block of it is black
 * although the request shows varied and light pixels there. Overflowed numbers and NaN look like this.
 *
 * It reads 1,024 positions of each, and the rest of the answer only if these are all the same. An even request may have any
 * answer. A mask of one value may say that everything is subject, or nothing, since many pictures have none; only a value
 * between cannot be right.
 * @param answer `scale` times the size of the request, `channels` bytes per pixel
 * @returns what is wrong; undefined if nothing is
 */
export function whyImplausible(
  { width, height, rgb }: View,
  answer: Buffer,
  scale: number,
  channels: 1 | 3,
): string | undefined {
  if (Math.min(width, height) < LEAST_SIDE) return undefined;
  const all = new Tally();
  const blocks = Array.from({ length: BLOCKS * BLOCKS }, () => new Tally());
  const [across, down] = [Math.min(SAMPLES, width), Math.min(SAMPLES, height)];
  for (let v = 0; v < down; v++) {
    const y = Math.floor(((v + 0.5) * height) / down);
    for (let u = 0; u < across; u++) {
      const x = Math.floor(((u + 0.5) * width) / across);
      const given = rgb.readUIntBE((y * width + x) * 3, 3);
      const at = (y * scale * width * scale + x * scale) * channels;
      const answered = answer.readUIntBE(at, channels);
      all.add(given, answered);
      const block = Math.floor((v * BLOCKS) / down) * BLOCKS + Math.floor((u * BLOCKS) / across);
      blocks[block]?.add(given, answered);
    }
  }
  const { only } = all;
  if (only !== undefined && all.deviation() >= VARIED && isAll(answer, only, channels)) {
    if (channels === 3) return `one colour, #${only.toString(16).padStart(6, '0')}, for a picture of many`;
    return only > 0 && only < 255 ? `the mask is ${only} everywhere` : undefined;
  }
  if (channels === 1) return undefined;
  const row = width * scale * 3;
  const isBlack = (block: number) => {
    const edge = (i: number, length: number) => Math.ceil((i * length) / BLOCKS) * scale;
    const [column, line] = [block % BLOCKS, Math.floor(block / BLOCKS)];
    const [left, right] = [edge(column, width) * 3, edge(column + 1, width) * 3];
    for (let y = edge(line, height); y < edge(line + 1, height); y++) {
      if (!isAll(answer.subarray(y * row + left, y * row + right), 0, 1)) return false;
    }
    return true;
  };
  const suspect = (tally: Tally) => tally.only === 0 && tally.deviation() >= VARIED_BLOCK && tally.mean() >= LIT;
  const black = blocks.some((tally, block) => suspect(tally) && isBlack(block));
  return black ? 'black where the picture is light' : undefined;
}

/** @param value of `bytes` bytes */
function isAll(data: Buffer, value: number, bytes: 1 | 3): boolean {
  // Each pixel equals the one before it.
  return data.readUIntBE(0, bytes) === value && data.subarray(bytes).equals(data.subarray(0, -bytes));
}

/** What was seen at some positions. */
class Tally {
  /** The value that the answer has everywhere; undefined if it has several, or none was added. */
  only: number | undefined;
  #count = 0;
  #sum = 0;
  #squares = 0;

  /** @param given colour of the request as 0xRRGGBB @param answered value of the answer */
  add(given: number, answered: number): void {
    if (this.#count === 0) this.only = answered;
    else if (this.only !== answered) this.only = undefined;
    this.#count++;
    const light = ((given >> 16) + 2 * ((given >> 8) & 255) + (given & 255)) / 4;
    this.#sum += light;
    this.#squares += light * light;
  }

  mean(): number {
    return this.#sum / this.#count;
  }

  deviation(): number {
    return Math.sqrt(Math.max(0, this.#squares / this.#count - this.mean() ** 2));
  }
}
