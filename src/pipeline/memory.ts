/** What a job will need of memory, known from its header: the formula that docs/pixels.md derives. */
import type { OutputRequest, Priority } from '../domain/job.js';
import type { Header } from './decode.js';
import { FORMATS } from './formats/index.js';

/** Waits for memory. @returns what gives it back; call it exactly once */
export type Reserve = (bytes: number, signal: AbortSignal, priority: Priority) => Promise<() => void>;

/** What the formula needs of a routed operation. */
interface Step {
  readonly model: { readonly output: 'image' | 'mask' };
  readonly contract: { readonly scale: number };
}

/**
 * Bytes of pixels that a job holds at the most: while it is decoded, in one of its operations, or while the result is
 * encoded. Input and output files and tensors in flight come on top.
 */
export function memoryOf(header: Header, steps: readonly Step[], output: OutputRequest) {
  let pixels = header.width * header.height;
  let alpha = header.hasAlpha;
  let held = pixels * (alpha ? 4 : 3);
  let most = pixels * decoding(header);
  // The picture before the last operation may not have been collected yet when the result is encoded.
  let atEncode = held;
  for (const { model, contract } of steps) {
    const masked = model.output === 'mask';
    const after = pixels * contract.scale ** 2;
    const made = after * (alpha || masked ? 4 : 3);
    atEncode = held + made;
    // With it the mask, or the alpha while it is resampled.
    most = Math.max(most, atEncode + (alpha || masked ? pixels : 0));
    alpha ||= masked;
    held = made;
    pixels = after;
  }
  const { background, maxWidth, maxHeight, keepMetadata } = output;
  const copied = background !== undefined || maxWidth !== undefined || maxHeight !== undefined || keepMetadata;
  const format = FORMATS[output.format ?? (alpha && !FORMATS[header.format].alpha ? 'png' : header.format)];
  return Math.max(most, atEncode + pixels * (format.encoderBytes + (copied ? 4 : 0)));
}

/** Bytes a pixel: the picture, twice if it is turned. Some decoders hold more than rows; what they hold was measured. */
function decoding({ format, hasAlpha, turned, progressive, deep }: Header): number {
  const rows = (hasAlpha ? 5 : 3) + (turned ? (deep ? 7 : 3) : 0);
  switch (format) {
    case 'jpeg':
      return Math.max(rows, progressive ? 11 : 0); // all coefficients at once, of four inks at most
    case 'png':
      return Math.max(rows, progressive ? (deep ? 16 : 8) : 0);
    case 'webp':
      return hasAlpha ? 9 : 8;
    case 'avif':
      return deep ? 29 : 23;
  }
}
