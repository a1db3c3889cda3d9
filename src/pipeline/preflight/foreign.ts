import { JobError } from '../../domain/errors.js';

/** Bytes of a text that are looked at. */
const TEXT_BYTES = 2048;
const MANGLED = 'a picture that was read as text and written as UTF-8, which destroys it: send it as binary';

/** First bytes of formats that people send and the worker does not read, and what to do about them. */
const FOREIGN: readonly (readonly [at: number, starts: readonly string[], words: string])[] = [
  [4, ['ftyphei', 'ftyphev', 'ftypmif1', 'ftypmsf1'], 'HEIC, which phones write: export it as JPEG'],
  [0, ['\xff\x0a', '\0\0\0\x0cJXL '], 'JPEG XL: convert it to JPEG or PNG'],
  [0, ['\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'], 'JPEG 2000: convert it to JPEG or PNG'],
  [0, ['BM'], 'BMP: convert it to PNG'],
  [0, ['\0\0\x01\0'], 'ICO: convert it to PNG'],
  [0, ['8BPS'], 'a Photoshop file: export it as PNG or JPEG'],
  [0, ['%PDF'], 'PDF: render its pages as PNG'],
  [4, ['ftypavis'], 'an animated AVIF: send a frame of it as AVIF, PNG or JPEG'],
  [4, ['ftyp'], 'a film, or a picture of another codec'],
  [0, ['PK\x03\x04'], 'a ZIP archive'],
  [0, ['\x1f\x8b'], 'a gzip file'],
  [0, ['\xef\xbf\xbd', 'RIFF\xef\xbf\xbd', '\xc3\xbf\xc3\x98', '\xc2\x89PNG'], MANGLED],
  [0, ['\x89PNG\n'], 'a PNG whose line ends were changed on the way: send it as binary'],
  [0, ['data:image/', '/9j/', 'iVBORw0KGgo', 'UklGR', 'R0lGOD'], 'Base64: decode it first'],
  [8, ['WAVE', 'AVI '], 'sound or a film'],
];
/** Texts that come in the place of a picture, such as the answer of a server that has an error. */
const TEXTS: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/^<(?:\?xml|!DOCTYPE svg)[^]*<svg[\s>]|^<svg[\s>]/i, 'SVG: render it as PNG'],
  [/^(?:<!DOCTYPE html|<html)/i, 'a web page'],
  [/^<\?xml/, 'XML, such as the error of a server'],
];
/** An AVIF begins like a film, and may name another brand first. A WebP or a GIF may begin like a text. */
const PICTURE = /^(?:GIF8[79]a|[^]{4}ftyp[^]{0,53}avi[fs]|RIFF[^]{4}WEBP)/;

/** What a worker reads, and what was given instead. */
export const notRead = (given: string) => `expected JPEG, PNG, WebP, AVIF, TIFF or GIF, given ${given}`;

/** @param given what the decoder calls the format */
export function unsupported(bytes: Buffer, given?: string, cause?: unknown): JobError {
  if (bytes.length === 0) return new JobError('UNSUPPORTED_FORMAT', notRead('an empty file'), { cause });
  const words = foreign(bytes) ?? given ?? plain(bytes) ?? `bytes that begin with ${bytes.toString('hex', 0, 8)}`;
  return new JobError('UNSUPPORTED_FORMAT', notRead(words), { cause });
}

/**
 * Refuses what is certainly no picture that a worker reads: a known other format, or text. Other unknown bytes pass, since
 * the worker may be newer than its caller.
 * @param what the picture's name
 * @throws JobError `UNSUPPORTED_FORMAT`
 */
export function refuseForeign(bytes: Buffer, what: string): void {
  if (PICTURE.test(bytes.toString('latin1', 0, 64))) return;
  const words = foreign(bytes) ?? plain(bytes);
  if (words === undefined) return;
  throw new JobError('UNSUPPORTED_FORMAT', `${what}: ${notRead(words)}`);
}

function foreign(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, 32);
  const known = FOREIGN.find(([at, starts]) => starts.some((one) => start.startsWith(one, at)));
  if (known) return known[2];
  const text = bytes.toString('latin1', 0, TEXT_BYTES).replace(/^(?:\xef\xbb\xbf)?\s*/, '');
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1];
}

/** Whether the file begins with text: nothing but printable characters and white space, in UTF-8. */
function plain(bytes: Buffer): string | undefined {
  const start = bytes
    .subarray(0, 64)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
  return start !== '' && /^[\p{L}\p{M}\p{N}\p{P}\p{S}\s]+$/u.test(start) && !start.includes('\uFFFD')
    ? 'text'
    : undefined;
}
