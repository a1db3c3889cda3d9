/** Reads boxes of the ISO base media file format (ISO/IEC 14496-12, clause 4) within their bounds. */
import { JobError } from '../../domain/errors.js';

/** Type of a box, and where its content starts and ends, without the header. */
export interface Box {
  readonly type: string;
  readonly from: number;
  readonly to: number;
}

export function corrupt(message: string): JobError {
  return new JobError('INPUT_CORRUPT', `AVIF: ${message}`);
}

/** @throws JobError `INPUT_CORRUPT` for a box that is larger than its parent, or for more than `limit` boxes */
export function childrenOf(file: Buffer, from: number, to: number, limit = 1_000): readonly Box[] {
  const boxes: Box[] = [];
  for (let at = from; at + 8 <= to;) {
    const size = file.readUInt32BE(at);
    const head = size === 1 ? 16 : 8;
    const length = size === 1 ? wide(file, at + 8, to) : size === 0 ? to - at : size;
    if (length < head || at + length > to) throw corrupt('a box is larger than what it lies in');
    if (boxes.length === limit) throw corrupt(`expected at most ${limit} boxes in one`);
    boxes.push({ type: file.toString('latin1', at + 4, at + 8), from: at + head, to: at + length });
    at += length;
  }
  return boxes;
}

/** The box of this type. Two are an error, because readers differ in which one they use. */
export function optional(boxes: readonly Box[], type: string): Box | undefined {
  const [box, second] = boxes.filter((candidate) => candidate.type === type);
  if (second) throw corrupt(`expected one box ${type}`);
  return box;
}

export function only(boxes: readonly Box[], type: string): Box {
  const box = optional(boxes, type);
  if (!box) throw corrupt(`expected a box ${type}`);
  return box;
}

/** Reads big-endian numbers one after the other. @throws JobError `INPUT_CORRUPT` past the end of the box */
export class Reader {
  constructor(
    private readonly file: Buffer,
    private readonly box: Box,
    private at = box.from,
  ) {}

  /** @param bytes 0 to 4, or 8; a number of 0 bytes is 0 */
  number(bytes: number): number {
    if (bytes > 4 && bytes !== 8) throw corrupt(`box ${this.box.type} has numbers of ${bytes} bytes`);
    const at = this.at;
    this.at += bytes;
    if (this.at > this.box.to) throw corrupt(`box ${this.box.type} is cut short`);
    if (bytes === 0) return 0;
    return bytes === 8 ? Number(this.file.readBigUInt64BE(at)) : this.file.readUIntBE(at, bytes);
  }

  text(length: number): string {
    return String.fromCharCode(...Array.from({ length }, () => this.number(1)));
  }

  /** The boxes in the rest of this box. */
  rest(): readonly Box[] {
    return childrenOf(this.file, this.at, this.box.to);
  }
}

function wide(file: Buffer, at: number, to: number): number {
  return at + 8 > to ? 0 : Number(file.readBigUInt64BE(at));
}
