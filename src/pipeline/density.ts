/** Centimetres in an inch. */
export const INCH_CENTIMETRES = 2.54;
/** Metres in an inch. */
export const INCH_METRES = 0.0254;
/** The largest density that JFIF and EXIF hold (JFIF 1.02). */
const MOST = 65_535;

/**
 * The density of a picture whose pixels are square.
 * @param across,down pixels per inch
 * @returns undefined if it is impossible, or if the pixels are not square: a result states one number
 */
export function densityFrom(across: number, down: number): number | undefined {
  const [x, y] = [Math.round(across), Math.round(down)];
  return x === y && x > 0 && x <= MOST ? x : undefined;
}
