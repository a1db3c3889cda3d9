/** Centimetres in an inch. */
export const INCH_CENTIMETRES = 2.54;
/** Metres in an inch. */
export const INCH_METRES = 0.0254;
/** The largest density that JFIF and EXIF hold (JFIF 1.02). */
const MOST = 65_535;

/**
 * Rounds a density to whole pixels per inch.
 * @param across,down pixels per inch
 * @returns undefined if it is impossible, or if the pixels are not square, because a result states one number
 */
export function densityFrom(across: number, down: number): number | undefined {
  const [x, y] = [Math.round(across), Math.round(down)];
  return x === y && x > 0 && x <= MOST ? x : undefined;
}

/** Reads a density as TIFF and EXIF state it. @param unit 2 for inches, 3 for centimetres; 1 states only the shape of a pixel */
export function densityIn(unit: number, across: number, down: number): number | undefined {
  const inches = unit === 2 ? 1 : unit === 3 ? INCH_CENTIMETRES : 0;
  return densityFrom(across * inches, down * inches);
}
