import { randomBytes } from 'node:crypto';
import { type BucketAccess, JobError } from '../../domain/errors.js';
import type { CreateResult, ObjectInfo, ObjectStore, ReadResult } from '../../domain/ports.js';
import type { ObjectRef } from '../../domain/uri.js';
import { type Api, connectApi, pathOf } from './api.js';
import { SERVICE } from './authorized.js';
import { crc32c } from './crc32c.js';
import { type Doing, refused, unavailable } from './errors.js';
import type { Answer, HttpRequest } from './call.js';
import { listObjects } from './list.js';
import { takeObject } from './media.js';
import { isDemand, type Refusal, refusalOf } from './refusal.js';
import { googleTokens, noTokens, STORAGE_SCOPES, type Tokens } from '../tokens.js';

export interface StorageService {
  /** Base address of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

export interface StoreOptions {
  /** Time limit for one metadata request, in milliseconds. Uploads and downloads get one more second per MiB. */
  readonly requestMs?: number;
  /** A download that receives no byte for this many milliseconds is dead. */
  readonly idleMs?: number;
  /** Default: Google's for the service, none for an emulator. */
  readonly tokens?: Tokens;
}

/**
 * Time limit for one request, in milliseconds. It is short compared with IMAGEN_STORAGE_WAIT_SECONDS, so that after a request
 * on a dead connection there is time for others.
 */
const REQUEST_MS = 8_000;
const IDLE_MS = 8_000;
const MS_PER_BYTE = 1_000 / 1024 ** 2;
const FIELDS = 'fields=generation,size,contentType,crc32c,metadata';
/** Custom metadata of an object has at most 8 KiB. Emulators send more than the requested fields. */
const MAX_METADATA_BYTES = 65_536;
const JSON_TYPE = 'application/json; charset=UTF-8';

/**
 * Cloud Storage as an ObjectStore, through its JSON API. It needs no closing: idle connections do not keep the process
 * alive.
 */
export function createObjectStore(service: StorageService, options: StoreOptions = {}): ObjectStore {
  return objectStoreOver(openApi(service, options));
}

export function openApi({ emulator }: StorageService, options: StoreOptions = {}): Api {
  const { requestMs = REQUEST_MS, idleMs = IDLE_MS } = options;
  const tokens = options.tokens ?? (emulator === undefined ? googleTokens(STORAGE_SCOPES) : noTokens);
  return connectApi(emulator ?? SERVICE, tokens, { requestMs, idleMs, msPerByte: MS_PER_BYTE });
}

export function objectStoreOver(api: Api): ObjectStore {
  return {
    read: (ref, { maxBytes, signal }) => readObject(api, ref, maxBytes, signal),
    stat: (ref, signal) => statObject(api, { what: 'stat', ref, access: 'read' }, signal),
    create: (ref, bytes, { signal, ...how }) => createObject(api, ref, bytes, how, signal),
    list: (prefix, { signal, ...where }) => listObjects(api, prefix, where, signal),
    checkAccess: (ref, access, signal) => checkAccess(api, ref, access, signal),
  };
}

async function readObject(
  api: Api,
  ref: ObjectRef & { readonly generation?: string },
  maxBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  const doing: Doing = { what: 'read', ref, access: 'read' };
  const generation = ref.generation === undefined ? '' : `&generation=${ref.generation}`;
  const request: HttpRequest = {
    method: 'GET',
    path: `${pathOf(ref)}?alt=media${generation}`,
    // Request the stored bytes, which match the stored checksum. Otherwise the service inflates them without a limit.
    headers: { 'accept-encoding': 'gzip' },
  };
  return api.send(doing, request, signal, (answer) => takeRead(api, answer, doing, maxBytes, signal));
}

/**
 * Reads the current object, unless it is of the known generation. An emulator that does not know the precondition sends the
 * object again, and the generation in its answer decides.
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function readUnless(
  api: Api,
  ref: ObjectRef,
  known: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<ReadResult | { readonly kind: 'unchanged' }> {
  const doing: Doing = { what: 'read', ref, access: 'read' };
  const request: HttpRequest = {
    method: 'GET',
    path: `${pathOf(ref)}?alt=media&ifGenerationNotMatch=${known}`,
    headers: { 'accept-encoding': 'gzip' },
  };
  return api.send(doing, request, signal, async (answer) => {
    const same = answer.status === 200 && answer.header('x-goog-generation') === known;
    if (same || answer.status === 304) return { kind: 'unchanged' };
    return takeRead(api, answer, doing, maxBytes, signal);
  });
}

async function takeRead(
  api: Api,
  answer: Answer,
  doing: Doing,
  maxBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  if (answer.status === 200) return takeObject(answer, doing, maxBytes, signal);
  const refusal = await refusalOf(answer);
  if (isDemand(refusal)) return { kind: 'refused', reason: refusal.message };
  if (refusal.status !== 404) throw refused(doing, refusal);
  await api.confirmMissing(doing, refusal, signal);
  return { kind: 'missing' };
}

async function statObject(api: Api, doing: Doing, signal: AbortSignal): Promise<ObjectInfo | undefined> {
  const request: HttpRequest = { method: 'GET', path: `${pathOf(doing.ref)}?${FIELDS}` };
  return api.send(doing, request, signal, async (answer) => {
    if (answer.status === 200) return infoIn(answer, doing);
    const refusal = await refusalOf(answer);
    // The bucket answers. A job that names such an object fails at its own read.
    if (doing.what === 'check' && isDemand(refusal)) return undefined;
    if (refusal.status !== 404) throw refused(doing, refusal);
    await api.confirmMissing(doing, refusal, signal);
    return undefined;
  });
}

async function createObject(
  api: Api,
  ref: ObjectRef,
  bytes: Buffer,
  how: { readonly contentType: string; readonly metadata?: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<CreateResult> {
  const doing: Doing = { what: 'create', ref, access: 'create' };
  const sum = crc32c(bytes);
  // A resumable upload needs two requests, and some emulators forget its precondition.
  const request = uploadOf(ref, { name: ref.name, crc32c: sum, ...how }, bytes);
  const answer = await upload(api, doing, request, signal);
  if ('generation' in answer) return { kind: 'created', info: answer };
  if (answer.status !== 412 && answer.status !== 403) throw refused(doing, answer);
  const info = await existing(api, doing, answer, signal);
  return { kind: 'exists', info, sameBytes: info.bytes === bytes.length && info.crc32c === sum };
}

/**
 * Replaces an object in one request, only if it has the given generation; 0 if there must be none. It needs the right to delete.
 * @returns undefined if it is of another generation, or gone
 * @throws JobError `STORAGE_UNAVAILABLE`, after which the object may have been replaced or not
 */
export async function replaceObject(
  api: Api,
  ref: ObjectRef,
  bytes: Buffer,
  how: { readonly contentType: string; readonly cacheControl?: string; readonly generation: string },
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  const doing: Doing = { what: 'replace', ref, access: 'create' };
  const { generation, ...about } = how;
  const resource = { name: ref.name, crc32c: crc32c(bytes), ...about };
  const answer = await upload(api, doing, uploadOf(ref, resource, bytes, generation), signal);
  if ('generation' in answer) return answer;
  if (answer.status === 412) return undefined;
  throw refused(doing, answer);
}

const upload = (api: Api, doing: Doing, request: HttpRequest, signal: AbortSignal): Promise<ObjectInfo | Refusal> =>
  api.send(doing, request, signal, async (given) => (given.status === 200 ? infoIn(given, doing) : refusalOf(given)));

/**
 * Finds the object because of which a create was refused. A caller that may create but not delete can get a 403 for the
 * missing right to replace, instead of the message that the object exists.
 * @throws JobError `STORAGE_UNAVAILABLE` if there is none
 */
async function existing(api: Api, doing: Doing, refusal: Refusal, signal: AbortSignal): Promise<ObjectInfo> {
  const denied = refusal.status === 403;
  const info = await statObject(api, doing, signal).catch((thrown: unknown) => {
    // If the object does not exist, a caller that may not list gets a 403 here too. Report the refusal of the create
    // instead.
    throw denied && thrown instanceof JobError ? refused(doing, refusal) : thrown;
  });
  if (info) return info;
  throw denied ? refused(doing, refusal) : unavailable(doing, 'refused as existing, but it is gone');
}

/**
 * A multipart upload. The service compares the checksum with the bytes it has received, before it creates the object.
 * @param generation of the object that is replaced; 0 if there must be none
 */
function uploadOf(
  { bucket }: ObjectRef,
  resource: { readonly name: string; readonly crc32c: string; readonly contentType: string },
  bytes: Buffer,
  generation = '0',
): HttpRequest {
  const boundary = randomBytes(16).toString('hex');
  const head =
    `--${boundary}\r\nContent-Type: ${JSON_TYPE}\r\n\r\n${JSON.stringify(resource)}\r\n` +
    `--${boundary}\r\nContent-Type: ${resource.contentType}\r\n\r\n`;
  return {
    method: 'POST',
    path: `/upload/storage/v1/b/${bucket}/o?uploadType=multipart&ifGenerationMatch=${generation}&${FIELDS}`,
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
  };
}

async function checkAccess(api: Api, ref: ObjectRef, access: BucketAccess, signal: AbortSignal): Promise<void> {
  const doing: Doing = { what: 'check', ref, access };
  if (access === 'read') {
    await statObject(api, doing, signal);
    return;
  }
  // Starting an upload checks the bucket and the right. Only a completed upload creates an object.
  const request: HttpRequest = {
    method: 'POST',
    path: `/upload/storage/v1/b/${ref.bucket}/o?uploadType=resumable&ifGenerationMatch=0&name=${encodeURIComponent(ref.name)}`,
    headers: { 'content-type': JSON_TYPE },
    body: [Buffer.from('{}')],
  };
  const session = await api.send(doing, request, signal, async (answer) => ({
    ...(await refusalOf(answer)),
    place: answer.header('location'),
  }));
  if (session.status === 200) return endUpload(api, doing, session.place, signal);
  if (session.status !== 412 && session.status !== 403) throw refused(doing, session);
  if (session.status === 403) await existing(api, doing, session, signal);
}

/** Cancels the upload. This may fail, because the service drops an unfinished upload after a week. */
async function endUpload(api: Api, doing: Doing, place: string | undefined, signal: AbortSignal): Promise<void> {
  if (place === undefined) return;
  const { pathname, search } = new URL(place, SERVICE);
  await api.send(doing, { method: 'DELETE', path: `${pathname}${search}` }, signal, refusalOf).catch(() => {
    signal.throwIfAborted();
  });
}

async function infoIn(answer: Answer, doing: Doing): Promise<ObjectInfo> {
  const text = (await answer.body(MAX_METADATA_BYTES))?.toString() ?? '';
  const { generation, size, contentType, crc32c: sum, metadata } = resourceIn(text);
  if (generation === undefined || size === undefined) {
    throw unavailable(doing, 'expected metadata with generation and size, the answer has none');
  }
  return {
    generation: String(generation),
    bytes: Number(size),
    contentType: contentType ?? 'application/octet-stream',
    crc32c: sum ?? '',
    metadata: metadata ?? {},
  };
}

interface Resource {
  readonly generation?: string | number;
  readonly size?: string | number;
  readonly contentType?: string;
  readonly crc32c?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

function resourceIn(text: string): Resource {
  try {
    return (JSON.parse(text) as Resource | null) ?? {};
  } catch {
    return {};
  }
}
