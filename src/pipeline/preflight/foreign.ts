import { JobError } from '../../domain/errors.js';

/** First bytes of formats that people send and the worker does not read, and what to do about them. */
const FOREIGN: readonly (readonly [at: number, starts: readonly string[], words: string])[] = [
  [4, ['ftyphei', 'ftyphev', 'ftypmif1', 'ftypmsf1'], 'HEIC, which phones write: export it as JPEG'],
  [0, ['\xff\x0a', '\0\0\0\x0cJXL '], 'JPEG XL: convert it to JPEG or PNG'],
  [0, ['\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'], 'JPEG 2000: convert it to JPEG or PNG'],
  [0, ['BM'], 'BMP: convert it to PNG'],
  [0, ['\0\0\x01\0'], 'ICO: convert it to PNG'],
  [0, ['8BPS'], 'a Photoshop file: export it as PNG or JPEG'],
  [0, ['%PDF'], 'PDF: render its pages as PNG'],
  [0, ['<svg', '<?xml', '<!DOCTYPE svg'], 'SVG: render it as PNG'],
  [4, ['ftyp'], 'a film, or a picture of another codec'],
];

/** @param given what the decoder calls the format */
export function unsupported(bytes: Buffer, given?: string, cause?: unknown): JobError {
  const start = bytes.toString('latin1', 0, 32);
  const found = FOREIGN.find(([at, starts]) => starts.some((one) => start.startsWith(one, at)));
  const words = found?.[2] ?? given;
  const message = `expected JPEG, PNG, WebP, AVIF, TIFF or GIF${words === undefined ? '' : `, given ${words}`}`;
  return new JobError('UNSUPPORTED_FORMAT', message, { cause });
}
