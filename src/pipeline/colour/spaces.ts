/** Colour spaces that files name by numbers, and their way to linear light and to sRGB's primaries. */

/** Rows of a matrix. */
type Row = readonly [number, number, number];
type Matrix = readonly [Row, Row, Row];
type Chromaticity = readonly [x: number, y: number];
/** Red, green, blue and white (CIE 1931). */
export type Primaries = readonly [Chromaticity, Chromaticity, Chromaticity, Chromaticity];

/** What the numbers of a picture mean, where that is not sRGB. */
export interface ColourSpace {
  /** Light of a channel's value from 0 to 1; 1 is the white of paper, and only high dynamic range exceeds it. */
  readonly light: (value: number) => number;
  /** From its primaries to those of sRGB; absent if they are the same. */
  readonly matrix?: Matrix;
  /** `pq` and `hlg` are high dynamic range. */
  readonly range?: 'pq' | 'hlg';
}

/** Nits of white that is no highlight (ITU-R BT.2408). */
const WHITE_NITS = 203;
const D65: Chromaticity = [0.3127, 0.329];
const SRGB: Primaries = [[0.64, 0.33], [0.3, 0.6], [0.15, 0.06], D65]; // prettier-ignore
const ADOBE_RGB: Primaries = [[0.64, 0.33], [0.21, 0.71], [0.15, 0.06], D65]; // prettier-ignore

/** ColourPrimaries (ITU-T H.273, table 2). Those of sRGB and of standard television are close and are left as they are. */
const PRIMARIES: Readonly<Record<number, Primaries>> = {
  9: [[0.708, 0.292], [0.17, 0.797], [0.131, 0.046], D65], // prettier-ignore
  11: [[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], [0.314, 0.351]], // prettier-ignore
  12: [[0.68, 0.32], [0.265, 0.69], [0.15, 0.06], D65], // prettier-ignore
};

/** TransferCharacteristics (ITU-T H.273, table 3). Those of television count as sRGB, as viewers take them. */
const TRANSFERS: Readonly<Record<number, Omit<ColourSpace, 'matrix'>>> = {
  4: { light: (v) => v ** 2.2 },
  5: { light: (v) => v ** 2.8 },
  8: { light: (v) => v },
  16: { light: fromPq, range: 'pq' },
  18: { light: fromHlg, range: 'hlg' },
};

/** @returns undefined if the numbers mean sRGB, or what viewers take for it */
export function byCodePoints(primaries: number, transfer: number): ColourSpace | undefined {
  const gamut = PRIMARIES[primaries];
  const curve = TRANSFERS[transfer];
  if (!gamut && !curve) return undefined;
  return { ...(curve ?? { light: fromSrgb }), ...(gamut ? { matrix: toSrgb(gamut) } : {}) };
}

/** @param gamma exponent of the file's values, as in PNG's gAMA. @param primaries those of sRGB by default */
export function byGamma(gamma: number, primaries?: Primaries): ColourSpace | undefined {
  const isUsual = Math.abs(gamma - 1 / 2.2) < 0.005;
  const isSame = !primaries || primaries.every(([x, y], i) => near(x, SRGB[i]?.[0]) && near(y, SRGB[i]?.[1]));
  if (isUsual && isSame) return undefined;
  return { light: (v) => v ** (1 / gamma), ...(isSame ? {} : { matrix: toSrgb(primaries) }) };
}

/** Adobe RGB (1998). */
export const adobeRgb = (): ColourSpace => ({ light: (v) => v ** (563 / 256), matrix: toSrgb(ADOBE_RGB) });

function fromSrgb(v: number): number {
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

/** SMPTE ST 2084, as a multiple of {@link WHITE_NITS}. */
function fromPq(v: number): number {
  const p = v ** (32 / 2523);
  const nits = 10_000 * (Math.max(p - 3424 / 4096, 0) / (2413 / 128 - (2392 / 128) * p)) ** (16_384 / 2610);
  return nits / WHITE_NITS;
}

/** Light of the scene (ITU-R BT.2100, table 5), from 0 to 1. The display's gamma follows in `convert`. */
function fromHlg(v: number): number {
  return v <= 0.5 ? v ** 2 / 3 : (Math.exp((v - 0.559_910_73) / 0.178_832_77) + 0.284_668_92) / 12;
}

function near(a: number, b = NaN): boolean {
  return Math.abs(a - b) < 0.002;
}

function toSrgb(primaries: Primaries): Matrix {
  return times(inverse(toXyz(SRGB)), times(adaptation(primaries[3]), toXyz(primaries)));
}

/** From linear RGB to XYZ (SMPTE RP 177). */
function toXyz([r, g, b, w]: Primaries): Matrix {
  const xyz = [r, g, b].map(([x, y]) => [x / y, 1, (1 - x - y) / y]);
  const columns = transpose(xyz as unknown as Matrix);
  const white = [w[0] / w[1], 1, (1 - w[0] - w[1]) / w[1]];
  const scale = inverse(columns).map((row) => row.reduce((sum, value, i) => sum + value * (white[i] ?? 0), 0));
  return columns.map((row) => row.map((value, i) => value * (scale[i] ?? 0))) as unknown as Matrix;
}

/** From another white to D65, by the cone responses of Bradford. */
function adaptation(white: Chromaticity): Matrix {
  const bradford: Matrix = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]; // prettier-ignore
  const cones = ([x, y]: Chromaticity) => bradford.map(([a, b, c]) => (a * x) / y + b + (c * (1 - x - y)) / y);
  const [from, to] = [cones(white), cones(D65)];
  const scaled = bradford.map((row, i) => row.map((value) => (value * (to[i] ?? 1)) / (from[i] ?? 1)));
  return times(inverse(bradford), scaled as unknown as Matrix);
}

function times(a: Matrix, b: Matrix): Matrix {
  const columns = transpose(b);
  return a.map((row) =>
    columns.map((column) => row[0] * column[0] + row[1] * column[1] + row[2] * column[2]),
  ) as unknown as Matrix;
}

function transpose([a, b, c]: Matrix): Matrix {
  return [0, 1, 2].map((i) => [a[i] ?? 0, b[i] ?? 0, c[i] ?? 0]) as unknown as Matrix;
}

function inverse(m: Matrix): Matrix {
  const at = (row: number, column: number) => m[(row + 3) % 3]?.[(column + 3) % 3] ?? 0;
  const cofactor = (row: number, column: number) =>
    at(row + 1, column + 1) * at(row + 2, column + 2) - at(row + 1, column + 2) * at(row + 2, column + 1);
  const determinant = at(0, 0) * cofactor(0, 0) + at(0, 1) * cofactor(0, 1) + at(0, 2) * cofactor(0, 2);
  return [0, 1, 2].map((row) => [0, 1, 2].map((column) => cofactor(column, row) / determinant)) as unknown as Matrix;
}
