/** Damage: what happens to a file on its way, and what somebody does to it who knows the format. */
import { pngChunk } from '../pictures.js';
import type { Random } from './random.js';
import type { Seed } from './seeds.js';

/** Lengths, sizes and counts at which parsers go wrong. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** The `i`th of `count` truncations, evenly spread, the first with nothing left but a byte. */
export function truncated(bytes: Buffer, i: number, count: number): Buffer {
  return bytes.subarray(0, Math.max(1, Math.floor((bytes.length * i) / count)));
}

/** One to eight bits, anywhere. */
export function flipped(bytes: Buffer, random: Random): Buffer {
  const damaged = Buffer.from(bytes);
  for (let left = 1 + random(8); left > 0; left--) {
    const at = random(damaged.length);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << random(8));
  }
  return damaged;
}

/** A number of 1, 2 or 4 bytes among the first, which hold sizes and counts, replaced by one that matters. */
export function edited({ bytes, format }: Seed, random: Random): Buffer {
  const damaged = Buffer.from(bytes);
  const width = [1, 2, 4][random(3)] ?? 1;
  const at = 2 + random(Math.min(damaged.length, 600) - 2 - width);
  const value = (EDGES[random(EDGES.length)] ?? 0) % 2 ** (8 * width);
  if (random(2)) damaged.writeUIntBE(value, at, width);
  else damaged.writeUIntLE(value, at, width);
  // Without its checksum a chunk would be refused before anybody reads what is in it.
  return format === 'png' ? resealed(damaged) : damaged;
}

/** A piece of the file left out, doubled, moved, or filled with noise. */
export function rearranged(bytes: Buffer, random: Random): Buffer {
  const from = 2 + random(bytes.length - 2);
  const to = Math.min(bytes.length, from + 1 + random(Math.max(1, bytes.length >> 2)));
  const [before, piece, after] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)];
  const noise = Buffer.from(piece.map(() => random(256)));
  const middle = [[], [piece, piece], [noise], [noise, piece], [Buffer.alloc(piece.length)]][random(5)] ?? [];
  return Buffer.concat([before, ...middle, after]);
}

function resealed(png: Buffer): Buffer {
  const parts = [png.subarray(0, 8)];
  let at = 8;
  while (at + 12 <= png.length) {
    const length = png.readUInt32BE(at);
    if (at + 12 + length > png.length) break;
    parts.push(pngChunk(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length)));
    at += 12 + length;
  }
  return Buffer.concat([...parts, png.subarray(at)]);
}
