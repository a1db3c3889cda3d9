/**
 * The guided filter with a colour guide (K. He, J. Sun, X. Tang, "Guided Image Filtering", 2013, section 3.4), in its
 * fast form (He and Sun, "Fast Guided Filter", 2015): it computes the coefficients on a small picture and applies them to
 * the large one, where they follow the edges of the large one.
 */

import { pause } from './turns.js';

/** A plane of `height × width` floats in 0..1. */
export type Plane = Float32Array;

/** Pixels to solve between two pauses for the event loop. */
const PIXELS_A_TURN = 50_000;

/**
 * Mean over a window of (2·radius + 1)² pixels, cut off at the borders. It uses two running sums, so the time does not
 * depend on the radius.
 */
export function boxMean(source: Plane, width: number, height: number, radius: number): Plane {
  const across = new Float32Array(source.length);
  for (let y = 0; y < height; y++) runningMean(source, across, y * width, 1, width, radius);
  const result = new Float32Array(source.length);
  for (let x = 0; x < width; x++) runningMean(across, result, x, width, height, radius);
  return result;
}

function runningMean(from: Plane, to: Plane, start: number, step: number, length: number, radius: number): void {
  let sum = 0;
  let count = 0;
  const at = (i: number) => from[start + i * step] ?? 0;
  for (let i = 0; i < Math.min(radius, length); i++, count++) sum += at(i);
  for (let i = 0; i < length; i++) {
    if (i + radius < length) {
      sum += at(i + radius);
      count++;
    }
    if (i - radius - 1 >= 0) {
      sum -= at(i - radius - 1);
      count--;
    }
    to[start + i * step] = sum / count;
  }
}

/**
 * Finds for each pixel the linear model `a·guide + b` that fits `target` around it.
 * @param guide red, green and blue planes
 * @param epsilon regularisation against noise in the guide; a smaller value follows finer edges
 * @returns four planes: three for `a`, one for `b`
 */
export async function guidedCoefficients(
  guide: readonly [Plane, Plane, Plane],
  target: Plane,
  width: number,
  height: number,
  radius: number,
  epsilon: number,
): Promise<[Plane, Plane, Plane, Plane]> {
  // Each mean takes a few milliseconds at 512 × 512. The pause lets the event loop extend leases and run other jobs.
  const mean = async (plane: Plane) => {
    await pause();
    return boxMean(plane, width, height, radius);
  };
  const product = (p: Plane, q: Plane) => p.map((value, i) => value * (q[i] ?? 0));
  const [r, g, b] = guide;
  const meanR = await mean(r);
  const meanG = await mean(g);
  const meanB = await mean(b);
  const meanT = await mean(target);
  const covariance = async (p: Plane, q: Plane, meanP: Plane, meanQ: Plane) => {
    const both = await mean(product(p, q));
    await pause();
    return both.map((value, i) => value - (meanP[i] ?? 0) * (meanQ[i] ?? 0));
  };
  const rr = await covariance(r, r, meanR, meanR);
  const rg = await covariance(r, g, meanR, meanG);
  const rb = await covariance(r, b, meanR, meanB);
  const gg = await covariance(g, g, meanG, meanG);
  const gb = await covariance(g, b, meanG, meanB);
  const bb = await covariance(b, b, meanB, meanB);
  const tr = await covariance(target, r, meanT, meanR);
  const tg = await covariance(target, g, meanT, meanG);
  const tb = await covariance(target, b, meanT, meanB);

  const a0 = new Float32Array(target.length);
  const a1 = new Float32Array(target.length);
  const a2 = new Float32Array(target.length);
  const offset = new Float32Array(target.length);
  for (let i = 0; i < target.length; i++) {
    if (i % PIXELS_A_TURN === 0) await pause();
    const [x, y, z] = solveSymmetric(
      (rr[i] ?? 0) + epsilon,
      rg[i] ?? 0,
      rb[i] ?? 0,
      (gg[i] ?? 0) + epsilon,
      gb[i] ?? 0,
      (bb[i] ?? 0) + epsilon,
      tr[i] ?? 0,
      tg[i] ?? 0,
      tb[i] ?? 0,
    );
    a0[i] = x;
    a1[i] = y;
    a2[i] = z;
    offset[i] = (meanT[i] ?? 0) - x * (meanR[i] ?? 0) - y * (meanG[i] ?? 0) - z * (meanB[i] ?? 0);
  }
  return [await mean(a0), await mean(a1), await mean(a2), await mean(offset)];
}

/** Solves the symmetric 3 × 3 system [[a,b,c],[b,d,e],[c,e,f]]·x = [p,q,r] by cofactors. ε keeps it well conditioned. */
function solveSymmetric(
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  p: number,
  q: number,
  r: number,
): [number, number, number] {
  const c00 = d * f - e * e;
  const c01 = c * e - b * f;
  const c02 = b * e - c * d;
  const c11 = a * f - c * c;
  const c12 = b * c - a * e;
  const c22 = a * d - b * b;
  const det = a * c00 + b * c01 + c * c02;
  return [
    (c00 * p + c01 * q + c02 * r) / det,
    (c01 * p + c11 * q + c12 * r) / det,
    (c02 * p + c12 * q + c22 * r) / det,
  ];
}
