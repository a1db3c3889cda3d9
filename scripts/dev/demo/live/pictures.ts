import type { ObjectStore } from '../../../../src/domain/ports.js';
import { type Format, FORMATS } from '../../../../src/pipeline/formats/index.js';
import type { PictureRef } from './board.js';

export interface Picture {
  readonly bytes: Buffer;
  readonly contentType: string;
}

const MAX_BYTES = 128 * 1024 ** 2;

/** @returns undefined for what is not there, too large or no picture. @throws JobError `STORAGE_UNAVAILABLE` */
export async function readPicture(store: ObjectStore, ref: PictureRef, signal: AbortSignal) {
  const found = await store.read(ref, { maxBytes: MAX_BYTES, signal });
  const format = found.kind === 'found' ? formatOf(found.bytes) : undefined;
  return found.kind === 'found' && format ? { bytes: found.bytes, contentType: format.contentType } : undefined;
}

/** How files begin, as Latin-1. */
const BEGINNINGS: readonly (readonly [RegExp, Format])[] = [
  [/^\xff\xd8\xff/, FORMATS.jpeg],
  [/^\x89PNG\r\n\cZ\n/, FORMATS.png],
  [/^RIFF[^]{4}WEBP/, FORMATS.webp],
  [/^[^]{4}ftyp[^]{0,53}avi/, FORMATS.avif],
];
const BEGINNING_BYTES = 64;

/** The same for a browser: so many bytes of a picture, as Latin-1, match this. */
export const beginning = {
  bytes: BEGINNING_BYTES,
  pattern: BEGINNINGS.map(([{ source }]) => source).join('|'),
};

/** By its first bytes: what somebody calls a picture may be a page with scripts. */
export function formatOf(bytes: Buffer): Format | undefined {
  const text = bytes.toString('latin1', 0, BEGINNING_BYTES);
  return BEGINNINGS.find(([pattern]) => pattern.test(text))?.[1];
}
