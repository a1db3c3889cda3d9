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
      const [i0, i1, i2, i3] = indicesOf(down, y);
      const [r0, r1, r2, r3] = [rowOf(i0), rowOf(i1), rowOf(i2), rowOf(i3)];
      const at = y * 4;
      const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = down.weights.subarray(at, at + 4);
      const target = enlarged.subarray(y * stride, (y + 1) * stride);
      for (let x = 0; x < stride; x++) {
        const [b, c] = [r1[x] ?? 0, r2[x] ?? 0];
        target[x] = between(w0 * (r0[x] ?? 0) + w1 * b + w2 * c + w3 * (r3[x] ?? 0), b, c) + 0.5;
      }
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

function indicesOf({ indices }: Taps, i: number): readonly [number, number, number, number] {
  return [indices[i * 4] ?? 0, indices[i * 4 + 1] ?? 0, indices[i * 4 + 2] ?? 0, indices[i * 4 + 3] ?? 0];
}

function enlargeRow(source: Buffer, row: Float32Array, taps: Taps, channels: number): void {
  const { weights } = taps;
  for (let x = 0; x < row.length / channels; x++) {
    const [i0, i1, i2, i3] = indicesOf(taps, x);
    for (let channel = 0; channel < channels; channel++) {
      const value = (i: number) => source[i * channels + channel] ?? 0;
      const [b, c] = [value(i1), value(i2)];
      const outer = (weights[x * 4] ?? 0) * value(i0) + (weights[x * 4 + 3] ?? 0) * value(i3);
      row[x * channels + channel] = between(
        outer + (weights[x * 4 + 1] ?? 0) * b + (weights[x * 4 + 2] ?? 0) * c,
        b,
        c,
      );
    }
  }
}

/** The value, or the nearer of the two bounds. */
function between(value: number, a: number, b: number): number {
  return a < b ? Math.min(b, Math.max(a, value)) : Math.min(a, Math.max(b, value));
}
