import { CRC32C, type File, type Storage } from '@google-cloud/storage';
import type { Agent } from 'node:http';
import { JobError } from '../../domain/errors.js';
import type { CreateResult, ObjectInfo, ObjectStore, ReadResult } from '../../domain/ports.js';
import { type ObjectRef, objectUri } from '../../domain/uri.js';
import { onAbort } from '../abort.js';
import { within } from '../within.js';
import { httpStatus, storageError } from './errors.js';

export interface StoreOptions {
  /** Limit of one metadata request, in milliseconds; uploads and downloads get a second more for every MiB. */
  readonly requestMs?: number;
  /** A download that brings no byte for so many milliseconds is dead: the client itself would wait forever. */
  readonly idleMs?: number;
}

/**
 * Short beside the time for which a job waits for storage (IMAGEN_STORAGE_WAIT_SECONDS): an attempt on a connection
 * that is dead without having been closed must leave time for others.
 */
const REQUEST_MS = 8_000;
const IDLE_MS = 8_000;
const TRANSFER_MS_A_BYTE = 1_000 / 1024 ** 2;

/** Cloud Storage as an ObjectStore. The client is the caller's, who has nothing to close. */
export function createObjectStore(storage: Storage, options: StoreOptions = {}): ObjectStore {
  const { requestMs = REQUEST_MS, idleMs = IDLE_MS } = options;
  /** The client's own, as its answers show it. */
  let agent: Agent | undefined;

  /** @param limitMs after which the client ends the request, and with it the connection, unless an answer has begun */
  function fileOf({ bucket, name, generation }: ObjectRef & { readonly generation?: string }, limitMs: number): File {
    const file = storage.bucket(bucket).file(name, generation === undefined ? {} : { generation });
    file.interceptors.push({ request: (sent) => Object.assign(sent as RequestOptions, { timeout: limitMs }) });
    return file;
  }

  /** What has failed without an answer may have been one of many connections that died together. */
  function dropIdleConnections(): void {
    for (const sockets of Object.values(agent?.freeSockets ?? {})) sockets?.forEach((socket) => socket.destroy());
  }

  function failure(what: string, ref: ObjectRef, thrown: unknown): JobError {
    if (httpStatus(thrown) === undefined) dropIdleConnections();
    return storageError(`${what} ${objectUri(ref)}`, thrown);
  }

  async function stat(ref: ObjectRef & { generation?: string }, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    const file = fileOf(ref, requestMs);
    try {
      const [metadata, response] = await within(requestMs, 'metadata', () => file.getMetadata(), signal);
      agent = (response as Response).request?.agent;
      return toInfo(metadata);
    } catch (thrown) {
      signal.throwIfAborted();
      if (httpStatus(thrown) === 404) return undefined;
      throw failure('stat', ref, thrown);
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
      const limitMs = requestMs + info.bytes * TRANSFER_MS_A_BYTE;
      const bytes = await download(fileOf(pinned, idleMs), info.bytes, { idleMs, limitMs }, signal);
      return { kind: 'found', bytes, generation: info.generation };
    } catch (thrown) {
      signal.throwIfAborted();
      if (httpStatus(thrown) === 404 && ref.generation !== undefined) return { kind: 'missing' };
      throw failure('read', ref, thrown);
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
    const limitMs = requestMs + bytes.length * TRANSFER_MS_A_BYTE;
    const file = fileOf(ref, limitMs);
    try {
      // One request: a resumable upload costs two, and emulators have been seen to forget its precondition.
      const saved = () =>
        file.save(bytes, {
          resumable: false,
          validation: 'crc32c',
          preconditionOpts: { ifGenerationMatch: 0 },
          metadata: { contentType, metadata: { ...metadata } },
        });
      await within(limitMs, 'upload', saved, signal);
      return { kind: 'created', info: toInfo(file.metadata) };
    } catch (thrown) {
      signal.throwIfAborted();
      const status = httpStatus(thrown);
      if (status !== 412 && status !== 403) throw failure('create', ref, thrown);
      // Who may create but not delete may be told that it lacks the right to replace, before it is told what is there.
      const info = await stat(ref, signal);
      if (!info)
        throw failure('create', ref, status === 412 ? new Error('refused as existing, but it is gone') : thrown);
      return { kind: 'exists', info, sameBytes: info.bytes === bytes.length && info.crc32c === crc32cOf(bytes) };
    }
  }

  return { read, stat, create };
}

function crc32cOf(bytes: Buffer): string {
  const crc32c = new CRC32C();
  crc32c.update(bytes);
  return crc32c.toString();
}

type RequestOptions = ReturnType<File['interceptors'][number]['request']>;

/** Of what the client gives beside metadata: what it does not declare. */
interface Response {
  readonly request?: { readonly agent?: Agent };
}

/** Collects the body, checked against its CRC32C by the client; destroyed when it stalls, dribbles, overflows or is given up. */
async function download(
  file: File,
  expected: number,
  { idleMs, limitMs }: { readonly idleMs: number; readonly limitMs: number },
  signal: AbortSignal,
): Promise<Buffer> {
  const body = file.createReadStream({ validation: 'crc32c', decompress: false });
  const stopListening = onAbort(signal, () => body.destroy(signal.reason as Error));
  const limit = setTimeout(() => body.destroy(new Error(`not whole within ${Math.round(limitMs)} ms`)), limitMs);
  let idle = setTimeout(() => undefined, 0);
  const stillAlive = () => {
    clearTimeout(idle);
    idle = setTimeout(() => body.destroy(new Error(`no byte for ${idleMs} ms`)), idleMs);
  };
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
    clearTimeout(limit);
    clearTimeout(idle);
    stopListening();
  }
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
