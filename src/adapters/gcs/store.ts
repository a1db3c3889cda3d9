import { CRC32C, type File, type Storage } from '@google-cloud/storage';
import { JobError } from '../../domain/errors.js';
import type { CreateResult, ObjectInfo, ObjectStore, ReadResult } from '../../domain/ports.js';
import { type ObjectRef, objectUri } from '../../domain/uri.js';
import { httpStatus, storageError } from './errors.js';

export interface StoreOptions {
  /** Limit of one metadata request or upload, in milliseconds. */
  readonly requestMs?: number;
  /** A download that brings no byte for so long is dead: the client itself would wait forever. */
  readonly idleMs?: number;
}

/** Cloud Storage as an ObjectStore. The client is the caller's, who has nothing to close. */
export function createObjectStore(storage: Storage, options: StoreOptions = {}): ObjectStore {
  const { requestMs = 30_000, idleMs = 10_000 } = options;

  async function stat(ref: ObjectRef & { generation?: string }, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    const file = fileOf(storage, ref);
    try {
      const [metadata] = await within(requestMs, signal, () => file.getMetadata());
      return toInfo(metadata);
    } catch (thrown) {
      signal.throwIfAborted();
      if (httpStatus(thrown) === 404) return undefined;
      throw storageError(`stat ${objectUri(ref)}`, thrown);
    }
  }

  async function read(
    ref: ObjectRef & { readonly generation?: string },
    { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<ReadResult> {
    const info = await stat(ref, signal);
    if (!info) return { kind: 'missing' };
    if (info.bytes > maxBytes) return { kind: 'too-large', bytes: info.bytes };
    // Pinned, so that the bytes are those of the metadata even if the object is replaced in between.
    const pinned = { ...ref, generation: info.generation };
    try {
      const bytes = await download(fileOf(storage, pinned), info.bytes, idleMs, signal);
      return { kind: 'found', bytes, generation: info.generation };
    } catch (thrown) {
      signal.throwIfAborted();
      if (httpStatus(thrown) === 404 && ref.generation !== undefined) return { kind: 'missing' };
      throw storageError(`read ${objectUri(ref)}`, thrown);
    }
  }

  async function create(
    ref: ObjectRef,
    bytes: Buffer,
    {
      contentType,
      metadata = {},
      signal,
    }: {
      readonly contentType: string;
      readonly metadata?: Readonly<Record<string, string>>;
      readonly signal: AbortSignal;
    },
  ): Promise<CreateResult> {
    const file = fileOf(storage, ref);
    try {
      // One request: a resumable upload costs two, and emulators have been seen to forget its precondition.
      await within(requestMs, signal, () =>
        file.save(bytes, {
          resumable: false,
          validation: 'crc32c',
          preconditionOpts: { ifGenerationMatch: 0 },
          metadata: { contentType, metadata: { ...metadata } },
        }),
      );
      return { kind: 'created', info: toInfo(file.metadata) };
    } catch (thrown) {
      signal.throwIfAborted();
      if (httpStatus(thrown) !== 412) throw storageError(`create ${objectUri(ref)}`, thrown);
    }
    const info = await stat(ref, signal);
    if (!info) throw storageError(`create ${objectUri(ref)}`, new Error('refused as existing, but it is gone'));
    const crc32c = new CRC32C();
    crc32c.update(bytes);
    return { kind: 'exists', info, sameBytes: info.bytes === bytes.length && info.crc32c === crc32c.toString() };
  }

  return { read, stat, create };
}

function fileOf(storage: Storage, { bucket, name, generation }: ObjectRef & { readonly generation?: string }): File {
  return storage.bucket(bucket).file(name, generation === undefined ? {} : { generation });
}

/** Collects the body, checked against its CRC32C by the client; destroyed when it stalls, overflows or is given up. */
async function download(file: File, expected: number, idleMs: number, signal: AbortSignal): Promise<Buffer> {
  const body = file.createReadStream({ validation: 'crc32c', decompress: false });
  const giveUp = () => body.destroy(abortError(signal));
  let idle = setTimeout(() => undefined, 0);
  const stillAlive = () => {
    clearTimeout(idle);
    idle = setTimeout(() => body.destroy(new Error(`no byte for ${idleMs} ms`)), idleMs);
  };
  signal.addEventListener('abort', giveUp);
  stillAlive();
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      stillAlive();
      length += chunk.length;
      if (length > expected) throw new Error(`expected ${expected} bytes, received more`);
      chunks.push(chunk);
    }
    if (length !== expected) throw new Error(`expected ${expected} bytes, received ${length}`);
    return Buffer.concat(chunks, length);
  } finally {
    clearTimeout(idle);
    signal.removeEventListener('abort', giveUp);
  }
}

/**
 * Bounds a call that takes no signal. What was started goes on unseen after the limit; that is harmless for reads and
 * for create-only writes.
 */
async function within<T>(limitMs: number, signal: AbortSignal, start: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let finish: () => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer for ${limitMs} ms`)), limitMs);
    const onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort);
    finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
  });
  try {
    return await Promise.race([start(), stopped]);
  } finally {
    finish();
  }
}

function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}

function toInfo(metadata: File['metadata']): ObjectInfo {
  const { generation, size, contentType, crc32c } = metadata;
  if (generation === undefined || size === undefined) {
    throw new JobError('STORAGE_UNAVAILABLE', 'the answer has neither generation nor size');
  }
  return {
    generation: String(generation),
    bytes: Number(size),
    contentType: contentType ?? 'application/octet-stream',
    crc32c: crc32c ?? '',
    metadata: Object.fromEntries(Object.entries(metadata.metadata ?? {}).map(([key, value]) => [key, String(value)])),
  };
}
