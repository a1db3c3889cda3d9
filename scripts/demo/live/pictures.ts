/** Pictures out of Cloud Storage, for a browser. */
import type { ObjectStore } from '../../../src/domain/ports.js';
import { type Format, FORMATS } from '../../../src/pipeline/formats/index.js';
import type { Picture } from '../send.js';
import type { PictureRef } from './board.js';

const MAX_BYTES = 128 * 1024 ** 2;

/** @returns undefined for what is not there, too large or no picture. @throws JobError `STORAGE_UNAVAILABLE` */
export async function readPicture(
  store: ObjectStore,
  ref: PictureRef,
  signal: AbortSignal,
): Promise<Picture | undefined> {
  const found = await store.read(ref, { maxBytes: MAX_BYTES, signal });
  const format = found.kind === 'found' ? formatOf(found.bytes) : undefined;
  return found.kind === 'found' && format ? { bytes: found.bytes, contentType: format.contentType } : undefined;
}

/** By its first bytes: what somebody calls a picture may be a page with scripts. */
export function formatOf(bytes: Buffer): Format | undefined {
  const at = (from: number, text: string) => bytes.toString('latin1', from, from + text.length) === text;
  if (at(0, '\xff\xd8\xff')) return FORMATS.jpeg;
  if (at(0, '\x89PNG\r\n\x1a\n')) return FORMATS.png;
  if (at(0, 'RIFF') && at(8, 'WEBP')) return FORMATS.webp;
  if (at(4, 'ftyp') && bytes.toString('latin1', 8, 64).includes('avi')) return FORMATS.avif;
  return undefined;
}
