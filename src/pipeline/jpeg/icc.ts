import { MARKER, type Segment } from './markers.js';

const SIGNATURE = 'ICC_PROFILE\0';
const NUMBERS_AT = SIGNATURE.length;
const HEAD = NUMBERS_AT + 2;

/** A replacement of bytes in a copy of the file, so that the decoder does not stumble over them. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly bytes: readonly number[];
}

export function isIcc(jpeg: Buffer, { marker, from, to }: Segment): boolean {
  return marker === MARKER.APP2 && to - from > HEAD && jpeg.toString('latin1', from, from + NUMBERS_AT) === SIGNATURE;
}

/**
 * Numbers the segments of a colour profile anew if they are numbered wrongly (ICC.1:2022, annex B.4). libjpeg drops such a
 * profile without a word.
 * @param segments in the order of the file
 * @returns no edits if the numbers are right; undefined if the segments do not make a profile in the order of the file
 */
export function renumbered(jpeg: Buffer, segments: readonly Segment[]): readonly Edit[] | undefined {
  const count = segments.length;
  const numbers = segments.map(({ from }) => [jpeg[from + NUMBERS_AT] ?? 0, jpeg[from + NUMBERS_AT + 1] ?? 0] as const);
  const isRight = numbers.every(([, of]) => of === count) && new Set(numbers.map(([number]) => number)).size === count;
  if (isRight && numbers.every(([number]) => number >= 1 && number <= count)) return [];
  const bytes = segments.reduce((sum, { from, to }) => sum + to - from - HEAD, 0);
  const [first] = segments;
  if (!first || first.from + HEAD + 4 > first.to || jpeg.readUInt32BE(first.from + HEAD) !== bytes) return undefined;
  return segments.map(({ from }, i) => ({ from: from + NUMBERS_AT, to: from + HEAD, bytes: [i + 1, count] }));
}
