import { JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import { isPermitted, objectRef } from '../domain/uri.js';

export interface FetchOptions {
  readonly allowedInputs: readonly string[];
  readonly maxBytes: number;
}

export interface Fetched {
  readonly bytes: Buffer;
  readonly generation: string;
}

/**
 * Reads the pinned generation of the input object, or the current one.
 * @throws JobError `INPUT_FORBIDDEN`, `INPUT_NOT_FOUND`, `INPUT_TOO_LARGE`, `INPUT_EMPTY`, `INPUT_CORRUPT`,
 *   `UNSUPPORTED_FORMAT`, `STORAGE_UNAVAILABLE`
 */
export async function fetchInput(
  input: { readonly uri: string; readonly generation?: string | undefined },
  store: ObjectStore,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<Fetched> {
  const ref = objectRef(input.uri);
  if (!isPermitted(ref, options.allowedInputs)) {
    throw new JobError('INPUT_FORBIDDEN', `${input.uri} is under none of the permitted prefixes`);
  }
  const pinned = input.generation === undefined ? ref : { ...ref, generation: input.generation };
  const found = await store.read(pinned, { maxBytes: options.maxBytes, signal });
  switch (found.kind) {
    case 'missing': {
      const which = input.generation === undefined ? '' : ` of generation ${input.generation}`;
      throw new JobError('INPUT_NOT_FOUND', `no object ${input.uri}${which}`);
    }
    case 'too-large':
      throw new JobError('INPUT_TOO_LARGE', `expected at most ${options.maxBytes} bytes, given ${found.bytes}`);
    case 'refused':
      throw new JobError('INPUT_FORBIDDEN', `${input.uri}: ${found.reason}`);
    case 'corrupt':
      throw new JobError('INPUT_CORRUPT', `${input.uri}: ${found.reason}`);
    case 'found':
      if (found.contentEncoding !== undefined && !isPicture(found.bytes)) {
        throw new JobError(
          'UNSUPPORTED_FORMAT',
          `${input.uri}: expected an object without Content-Encoding, or with gzip, given ${found.contentEncoding}`,
        );
      }
      if (found.bytes.length === 0) throw new JobError('INPUT_EMPTY', `${input.uri} has no bytes`);
      return { bytes: found.bytes, generation: found.generation };
  }
}

/** Whether the first bytes are those of a picture. Some uploaders declare an encoding that the bytes do not have. */
function isPicture(bytes: Buffer): boolean {
  return /^(?:\xff\xd8|\x89PNG|RIFF[^]{4}WEBP|[^]{4}ftyp)/.test(bytes.toString('latin1', 0, 12));
}
