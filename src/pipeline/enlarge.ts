import type { Size } from '../domain/raster.js';
import { inTurns } from './turns.js';

/** Interleaved pixels. */
export interface Pixels extends Size {
  readonly channels: 1 | 3;
  readonly data: Buffer;
}

/**
 * Enlarges pixels to `target`, no side of which is shorter. The centres of the pixels stay where they are; the resize of
 * libvips moves them by half a pixel of the result. It interpolates by a cubic (Keys 1981, a = −½), and clamps each value
 * to its two neighbours along the axis, so that an edge gets no ring.
 */
export async function enlarge({ width, height, channels, data }: Pixels, target: Size): Promise<Buffer> {
  const across = tapsOf(width, target.width);
  const down = tapsOf(height, target.height);
  const stride = target.width * channels;
  const enlarged = Buffer.allocUnsafe(target.height * stride);
  /** Rows of the source, enlarged across, by number. Four are needed at a time. */
  const rows = new Map<number, Float32Array>();
  const rowOf = (y: number) => {
    const known = rows.get(y);
    if (known) return known;
    rows.delete(y - 4);
    const row = new Float32Array(stride);
    enlargeRow(data.subarray(y * width * channels, (y + 1) * width * channels), row, across, channels);
    rows.set(y, row);
    return row;
  };
  await inTurns(target.height, target.width, (from, to) => {
    for (let y = from; y < to; y++) {
      const [i0 = 0, i1 = 0, i2 = 0, i3 = 0] = down.indices.subarray(y * 4, y * 4 + 4);
      const weights = down.weights.subarray(y * 4, y * 4 + 4);
      mix(rowOf(i0), rowOf(i1), rowOf(i2), rowOf(i3), weights, enlarged.subarray(y * stride, (y + 1) * stride));
    }
  });
  return enlarged;
}

/** For each position of the result: the four source positions around it, and their weights. */
interface Taps {
  readonly indices: Int32Array;
  readonly weights: Float32Array;
}

function tapsOf(source: number, target: number): Taps {
  const indices = new Int32Array(target * 4);
  const weights = new Float32Array(target * 4);
  for (let i = 0; i < target; i++) {
    const at = ((i + 0.5) * source) / target - 0.5;
    const first = Math.floor(at);
    const t = at - first;
    const four = [
      t * (-0.5 + t * (1 - 0.5 * t)),
      1 + t * t * (-2.5 + 1.5 * t),
      t * (0.5 + t * (2 - 1.5 * t)),
      t * t * (-0.5 + 0.5 * t),
    ];
    for (const [k, weight] of four.entries()) {
      indices[i * 4 + k] = Math.min(source - 1, Math.max(0, first - 1 + k));
      weights[i * 4 + k] = weight;
    }
  }
  return { indices, weights };
}

function enlargeRow(source: Buffer, row: Float32Array, { indices, weights }: Taps, channels: number): void {
  for (let tap = 0, to = 0; to < row.length; tap += 4) {
    const a = (indices[tap] ?? 0) * channels;
    const b = (indices[tap + 1] ?? 0) * channels;
    const c = (indices[tap + 2] ?? 0) * channels;
    const d = (indices[tap + 3] ?? 0) * channels;
    for (let channel = 0; channel < channels; channel++, to++) {
      const inner = source[b + channel] ?? 0;
      const next = source[c + channel] ?? 0;
      const value =
        (weights[tap] ?? 0) * (source[a + channel] ?? 0) +
        (weights[tap + 1] ?? 0) * inner +
        (weights[tap + 2] ?? 0) * next +
        (weights[tap + 3] ?? 0) * (source[d + channel] ?? 0);
      row[to] = between(value, inner, next);
    }
  }
}

/** Mixes four rows by their weights, and clamps to the two in the middle. */
function mix(
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  d: Float32Array,
  weights: Float32Array,
  result: Buffer,
): void {
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = weights;
  for (let x = 0; x < result.length; x++) {
    const inner = b[x] ?? 0;
    const next = c[x] ?? 0;
    const value = w0 * (a[x] ?? 0) + w1 * inner + w2 * next + w3 * (d[x] ?? 0);
    result[x] = between(value, inner, next) + 0.5;
  }
}

/** The value, or the nearer of the two bounds. */
function between(value: number, a: number, b: number): number {
  if (a < b) return value < a ? a : value > b ? b : value;
  return value < b ? b : value > a ? a : value;
}
