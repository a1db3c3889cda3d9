/** Estimates from the header how much memory a job needs. docs/pixels.md derives the formula. */
import type { Claimant, OutputRequest } from '../domain/job.js';
import type { Header } from './decode.js';
import { defaultFormat, FORMATS } from './formats/index.js';

/** Waits for memory, in bytes. @returns the function that releases it; call it exactly once */
export type Reserve = (bytes: number, signal: AbortSignal, claimant: Claimant) => Promise<() => void>;

/** The parts of a routed operation that the formula needs. */
interface Step {
  readonly model: { readonly output: 'image' | 'mask' };
  readonly contract: { readonly scale: number };
}

/**
 * Peak of pixel memory of a job, in bytes: during decoding, during one of its operations, or during encoding. It does not
 * include the input and output files and the tensors in flight.
 */
export function memoryOf(header: Header, steps: readonly Step[], output: OutputRequest) {
  let pixels = header.width * header.height;
  let alpha = header.hasAlpha;
  let held = pixels * (alpha ? 4 : 3);
  let most = pixels * decoding(header) + (header.heldBytes ?? 0);
  // When the result is encoded, the picture before the last operation may not have been garbage-collected yet.
  let atEncode = held;
  for (const { model, contract } of steps) {
    const masked = model.output === 'mask';
    const after = pixels * contract.scale ** 2;
    const made = after * (alpha || masked ? 4 : 3);
    atEncode = held + made;
    // The mask counts as well, and the picture on a ground if it was transparent; or smaller copies of it.
    const beside = masked ? (alpha ? 4 : 1) : alpha ? 2 : 0;
    most = Math.max(most, atEncode + beside * pixels);
    alpha ||= masked;
    held = made;
    pixels = after;
  }
  const { background, maxWidth, maxHeight, keepMetadata } = output;
  const shrunk = maxWidth !== undefined || maxHeight !== undefined;
  const copied = background !== undefined || shrunk || keepMetadata;
  const format = FORMATS[output.format ?? defaultFormat(header.format, alpha)];
  // In a lossy file the colours are extended after the picture was shrunk: two more copies, apart and joined.
  const extended = shrunk && alpha && !format.lossless;
  return Math.max(most, atEncode + pixels * (format.encoderBytes + (copied ? 4 : 0) + (extended ? 8 : 0)));
}

/**
 * Bytes per pixel during decoding: the picture, twice if it is turned. Some decoders hold more than rows; their memory was
 * measured.
 */
function decoding({ format, hasAlpha, turned, progressive, deep, converted }: Header): number {
  const copy = converted ? (hasAlpha ? 4 : 3) * (deep ? 2 : 1) : 0;
  const rows = (hasAlpha ? 5 : 3) + (turned ? (deep ? 7 : 3) : 0) + copy;
  switch (format) {
    case 'jpeg':
      return Math.max(rows, progressive ? 11 : 0); // all coefficients at once, of at most four inks
    case 'png':
      return Math.max(rows, progressive ? (deep ? 16 : 8) : 0);
    case 'webp':
      return (hasAlpha ? 9 : 8) + copy;
    case 'avif':
      return (deep ? 29 : 23) + copy;
    case 'tiff':
      return rows;
    case 'gif':
      return rows + 8;
  }
}
