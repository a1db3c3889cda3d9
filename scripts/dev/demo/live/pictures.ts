import type { ObjectStore } from '../../../../src/domain/ports.js';
import type { PictureRef } from './board.js';

export interface Picture {
  readonly bytes: Buffer;
  readonly contentType: string;
}

interface Kind {
  /** How files begin, as Latin-1. */
  readonly begins: RegExp;
  readonly contentType: string;
  readonly extension: string;
  /** Whether browsers show it. */
  readonly shown: boolean;
}

const MAX_BYTES = 128 * 1024 ** 2;

/** @returns undefined for what is not there, too large or no picture. @throws JobError `STORAGE_UNAVAILABLE` */
export async function readPicture(store: ObjectStore, ref: PictureRef, signal: AbortSignal) {
  const found = await store.read(ref, { maxBytes: MAX_BYTES, signal });
  const kind = found.kind === 'found' ? kindOf(found.bytes) : undefined;
  return found.kind === 'found' && kind ? { bytes: found.bytes, contentType: kind.contentType } : undefined;
}

/** What workers read. */
const KINDS: readonly Kind[] = [
  { begins: /^\xff\xd8\xff/, contentType: 'image/jpeg', extension: 'jpg', shown: true },
  { begins: /^\x89PNG\r\n\cZ\n/, contentType: 'image/png', extension: 'png', shown: true },
  { begins: /^RIFF[^]{4}WEBP/, contentType: 'image/webp', extension: 'webp', shown: true },
  { begins: /^[^]{4}ftyp[^]{0,53}avi/, contentType: 'image/avif', extension: 'avif', shown: true },
  { begins: /^GIF8[79]a/, contentType: 'image/gif', extension: 'gif', shown: true },
  { begins: /^(?:II\*\0|MM\0\*)/, contentType: 'image/tiff', extension: 'tif', shown: false },
];
const BEGINNING_BYTES = 64;
export const KINDS_IN_WORDS = 'JPEG, PNG, WebP, AVIF, TIFF or GIF';

const pattern = (kinds: readonly Kind[]): string => kinds.map(({ begins }) => begins.source).join('|');

/** The same for a browser: so many bytes of a picture, as Latin-1, match `pattern`, and `shown` if it can show them. */
export const beginning = {
  bytes: BEGINNING_BYTES,
  pattern: pattern(KINDS),
  shown: pattern(KINDS.filter(({ shown }) => shown)),
  words: KINDS_IN_WORDS,
};

/** By its first bytes: what somebody calls a picture may be a page with scripts. */
export function kindOf(bytes: Buffer): Kind | undefined {
  const text = bytes.toString('latin1', 0, BEGINNING_BYTES);
  return KINDS.find(({ begins }) => begins.test(text));
}
