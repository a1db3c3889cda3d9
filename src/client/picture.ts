/** Reads the picture of a request, and looks at it before anything is uploaded. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { JobError } from '../domain/errors.js';
import { show } from '../domain/issues.js';
import { parseObjectUri } from '../domain/uri.js';
import { refuseForeign } from '../pipeline/preflight/foreign.js';
import { ClientError } from './errors.js';

/** A picture to upload, or one that is in Cloud Storage already. */
export type Picture = LocalPicture | { readonly uri: string };

export interface LocalPicture {
  readonly bytes: Buffer;
  readonly name: string;
  readonly sha256: string;
}

const DEFAULT_NAME = 'picture';

/**
 * Reads a local picture. A `gs://` address is only checked.
 * @param maxBytes of a local picture
 * @throws ClientError `INPUT_UNREADABLE`; JobError `INPUT_EMPTY`, `INPUT_TOO_LARGE`, `UNSUPPORTED_FORMAT`, `INVALID_MESSAGE`
 */
export async function readPicture(
  input: PictureInput,
  name: string | undefined,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Picture> {
  if (typeof input === 'string' && input.startsWith('gs://')) {
    const ref = parseObjectUri(input);
    if (typeof ref === 'string') throw new JobError('INVALID_MESSAGE', `${input}: ${ref}`);
    return { uri: input };
  }
  const what = typeof input === 'string' ? input : (name ?? DEFAULT_NAME);
  const bytes = await bytesOf(input, what, maxBytes, signal);
  if (bytes.length === 0) throw new JobError('INPUT_EMPTY', `${what} has no bytes`);
  refuseForeign(bytes, what);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { bytes, name: objectName(name ?? (typeof input === 'string' ? basename(input) : DEFAULT_NAME)), sha256 };
}

async function bytesOf(input: PictureInput, what: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  if (typeof input === 'string') return readFile(input, maxBytes);
  if (input instanceof Uint8Array) {
    if (input.length > maxBytes) throw tooLarge(what, maxBytes, String(input.length));
    return Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  }
  return readStream(input, what, maxBytes, signal);
}

async function readStream(
  stream: AsyncIterable<unknown>,
  what: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream) {
      signal.throwIfAborted();
      if (!(chunk instanceof Uint8Array)) {
        const hint = typeof chunk === 'string' ? ': open it without an encoding' : '';
        throw new ClientError('INPUT_UNREADABLE', `${what}: expected a stream of bytes, given ${show(chunk)}${hint}`);
      }
      length += chunk.length;
      if (length > maxBytes) throw tooLarge(what, maxBytes, 'more');
      chunks.push(chunk);
    }
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof ClientError || thrown instanceof JobError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ClientError('INPUT_UNREADABLE', `${what}: its stream failed: ${why}`, { cause: thrown });
  }
  return Buffer.concat(chunks);
}

async function readFile(path: string, maxBytes: number): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const stat = await file.stat();
    if (stat.isDirectory()) throw new ClientError('INPUT_UNREADABLE', `${path}: expected a file, given a folder`);
    if (stat.size > maxBytes) throw tooLarge(path, maxBytes, String(stat.size));
    return await file.readFile();
  } catch (thrown) {
    if (thrown instanceof ClientError || thrown instanceof JobError) throw thrown;
    const { code, message } = thrown as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : message;
    throw new ClientError('INPUT_UNREADABLE', `${path}: ${why}`, { cause: thrown });
  } finally {
    await file?.close();
  }
}

function tooLarge(what: string, maxBytes: number, given: string): JobError {
  return new JobError('INPUT_TOO_LARGE', `${what}: expected at most ${maxBytes} bytes, given ${given}`);
}

/** A file name as the last part of an object's name, which has no control characters and is neither `.` nor `..`. */
function objectName(name: string): string {
  // It is cut first: that may leave half of a character outside the basic plane, such as an emoji.
  const safe = basename(name)
    .slice(-100)
    .replace(/\p{Cc}|\p{Surrogate}/gu, '_');
  return /^\.*$/.test(safe) ? DEFAULT_NAME : safe;
}

/** A picture: a local path, a `gs://` address, bytes, or a stream of bytes. */
export type PictureInput = string | Uint8Array | AsyncIterable<Uint8Array>;
