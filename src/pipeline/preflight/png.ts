import { inflateSync } from 'node:zlib';
import { JobError } from '../../domain/errors.js';
import { notRead } from './foreign.js';
import { exifPreflight } from './exif.js';

/** Limit for all compressed texts of a file together. libpng permits 1,000 of 8 MB each, and keeps five copies. */
export const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Limit of chunks before the pixels. A usual file has a dozen. */
export const MAX_CHUNKS = 10_000;

/**
 * @returns the chunks before the pixels, by type; the last one of a type counts
 * @throws JobError `INPUT_TOO_LARGE` for too much compressed text, `INPUT_CORRUPT` for too many chunks
 */
export function preflightPng(png: Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  const checkExif = exifPreflight();
  let left = MAX_TEXT_BYTES;
  let chunks = 0;
  // Chunks after the pixels are not read.
  for (let at = 8; at + 12 <= png.length;) {
    const type = png.toString('latin1', at + 4, at + 8);
    if (type === 'IDAT') break;
    if (type === 'CgBI') {
      const given = "Apple's own PNG (CgBI): take the file from before Xcode changed it";
      throw new JobError('UNSUPPORTED_FORMAT', notRead(given));
    }
    if (++chunks > MAX_CHUNKS) {
      throw new JobError('INPUT_CORRUPT', `expected at most ${MAX_CHUNKS} chunks before a PNG's pixels`);
    }
    const end = at + 8 + png.readUInt32BE(at);
    if (end + 4 <= png.length) found.set(type, png.subarray(at + 8, end));
    if (type === 'zTXt' || type === 'iTXt') left -= inflatedBytes(type, png.subarray(at + 8, end), left);
    if (type === 'eXIf') checkExif(png.subarray(at + 8, end));
    at = end + 4;
  }
  return found;
}

/** Inflated size of the text in the chunk, in bytes; 0 if the text is not compressed. */
function inflatedBytes(type: 'zTXt' | 'iTXt', chunk: Buffer, limit: number): number {
  const keyword = chunk.indexOf(0);
  let text = keyword + 2; // the text follows the compression method
  if (keyword >= 0 && type === 'iTXt') {
    if (chunk[keyword + 1] === 0) return 0;
    const language = chunk.indexOf(0, keyword + 3);
    const translated = language < 0 ? -1 : chunk.indexOf(0, language + 1);
    if (translated < 0) return 0;
    text = translated + 1;
  }
  if (keyword < 0 || text >= chunk.length) return 0;
  try {
    return inflateSync(chunk.subarray(text), { maxOutputLength: Math.max(1, limit) }).length;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      const message = `expected at most ${MAX_TEXT_BYTES} bytes of compressed text in a PNG`;
      throw new JobError('INPUT_TOO_LARGE', message, { cause, stage: 'decode' });
    }
    throw new JobError('INPUT_CORRUPT', 'a compressed text of the PNG cannot be inflated', { cause });
  }
}
