/** Colour arithmetic from the published numbers, apart from any library, to know what a decoder should have seen. */

export type Rgb = readonly [number, number, number];
type Matrix = readonly [Rgb, Rgb, Rgb];

/** RGB to XYZ (D65): Adobe RGB (1998) Color Image Encoding, 4.3.4.1; SMPTE EG 432-1 for P3 with the D65 white. */
const ADOBE_RGB: Matrix = [
  [0.57667, 0.18556, 0.18823],
  [0.29734, 0.62736, 0.07529],
  [0.02703, 0.07069, 0.99134],
];
const DISPLAY_P3: Matrix = [
  [0.4865709, 0.2656677, 0.1982173],
  [0.2289746, 0.6917385, 0.0792869],
  [0, 0.0451134, 1.0439444],
];
/** XYZ (D65) to linear sRGB: IEC 61966-2-1. */
const TO_SRGB: Matrix = [
  [3.2404542, -1.5371385, -0.4985314],
  [-0.969266, 1.8760108, 0.041556],
  [0.0556434, -0.2040259, 1.0572252],
];
/** XYZ relative to D50 to D65 (Bradford). */
const D50_TO_D65: Matrix = [
  [0.9555766, -0.0230393, 0.0631636],
  [-0.0282895, 1.0099416, 0.0210077],
  [0.0122982, -0.020483, 1.3299098],
];

/** All functions take and give levels of 255; what lies outside of sRGB is cut off, channel by channel. */
export const fromAdobeRgb = (rgb: Rgb): Rgb =>
  encode(
    apply(
      TO_SRGB,
      apply(
        ADOBE_RGB,
        map(rgb, (value) => (value / 255) ** (563 / 256)),
      ),
    ),
  );

export const fromDisplayP3 = (rgb: Rgb): Rgb => encode(apply(TO_SRGB, apply(DISPLAY_P3, map(rgb, linear))));

/** From numbers that are proportional to light. */
export const fromLinear = (rgb: Rgb): Rgb => encode(map(rgb, (value) => value / 255));

export const fromGamma = (value: number, gamma: number): number =>
  encode(map([value, 0, 0], (v) => (v / 255) ** gamma))[0];

/** From CIELAB relative to D50. */
export function fromLab([l, a, b]: Rgb): Rgb {
  const y = (l + 16) / 116;
  const f = (t: number) => (t > 6 / 29 ? t ** 3 : (108 / 841) * (t - 4 / 29));
  const xyz: Rgb = [0.9642 * f(y + a / 500), f(y), 0.8249 * f(y - b / 200)];
  return encode(apply(TO_SRGB, apply(D50_TO_D65, xyz)));
}

function linear(value: number): number {
  const v = value / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

function encode(light: Rgb): Rgb {
  return map(light, (value) => {
    const v = Math.min(1, Math.max(0, value));
    return 255 * (v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055);
  });
}

function apply(matrix: Matrix, [x, y, z]: Rgb): Rgb {
  return map(matrix, ([a, b, c]) => a * x + b * y + c * z);
}

function map<T>([a, b, c]: readonly [T, T, T], of: (value: T) => number): Rgb {
  return [of(a), of(b), of(c)];
}
