import { crc32c } from '../../src/adapters/gcs/crc32c.js';
import type { ListedObject, ObjectInfo, ObjectStore } from '../../src/domain/ports.js';
import { type ObjectRef, objectUri } from '../../src/domain/uri.js';

/** As Cloud Storage. */
const PAGE_SIZE = 1_000;

interface Kept {
  readonly bytes: Buffer;
  readonly info: ObjectInfo;
  readonly createdAt: Date;
  /** Names are in the order of their bytes, but JavaScript compares texts by UTF-16: this is the name with a letter a byte. */
  readonly order: string;
}

const orderOf = (name: string) => Buffer.from(name).toString('latin1');

/**
 * Objects in memory, for what real storage cannot be made to do at will: to fail for exactly one call. Every bucket exists.
 * It keeps the contract of contracts/object-store.ts.
 */
export function memoryStore() {
  const objects = new Map<string, Kept>();
  let generations = 0;
  let failing: ((operation: 'read' | 'create', uri: string) => void) | undefined;
  /** Settles later, as a request does. */
  const call = async <T>(signal: AbortSignal, work: () => T): Promise<T> => {
    signal.throwIfAborted();
    await Promise.resolve();
    return work();
  };
  const keep = (ref: ObjectRef, bytes: Buffer, contentType: string, metadata: ObjectInfo['metadata']): ObjectInfo => {
    const generation = String(++generations);
    const info = { generation, bytes: bytes.length, contentType, crc32c: crc32c(bytes), metadata };
    objects.set(objectUri(ref), { bytes: Buffer.from(bytes), info, createdAt: new Date(), order: orderOf(ref.name) });
    return info;
  };
  const store = {
    read: (ref, { maxBytes, signal }) =>
      call(signal, () => {
        failing?.('read', objectUri(ref));
        const found = objects.get(objectUri(ref));
        const isAsked = ref.generation === undefined || ref.generation === found?.info.generation;
        if (!found || !isAsked) return { kind: 'missing' };
        const { bytes, info } = found;
        if (bytes.length > maxBytes) return { kind: 'too-large', bytes: bytes.length };
        return { kind: 'found', bytes, generation: info.generation };
      }),
    stat: (ref, signal) => call(signal, () => objects.get(objectUri(ref))?.info),
    create: (ref, bytes, { contentType, metadata = {}, signal }) =>
      call(signal, () => {
        failing?.('create', objectUri(ref));
        const found = objects.get(objectUri(ref));
        if (found) return { kind: 'exists', info: found.info, sameBytes: found.bytes.equals(bytes) };
        return { kind: 'created', info: keep(ref, bytes, contentType, metadata) };
      }),
    list: (prefix, { from = '', page, signal }) => call(signal, () => listIn(objects, prefix, page ?? from)),
    checkAccess: (ref, access, signal) => call(signal, () => failing?.(access, objectUri(ref))),
  } satisfies ObjectStore;
  return {
    ...{ store, objects },
    /** @param how throws for a call that is to fail; undefined if none is */
    fail: (how: typeof failing) => (failing = how),
    /** Gives an object another content, and with it another generation. */
    replace: (ref: ObjectRef, bytes: Buffer) => keep(ref, bytes, 'application/octet-stream', {}),
  };
}

/** @param from the first name that may be listed, which is also the token of a page */
function listIn(objects: ReadonlyMap<string, Kept>, prefix: ObjectRef, from: string) {
  const bucket = objectUri({ bucket: prefix.bucket, name: '' });
  const [start, first] = [bucket + prefix.name, orderOf(from)];
  const wanted: (Kept & { readonly name: string })[] = [];
  for (const [uri, kept] of objects) {
    if (kept.order >= first && uri.startsWith(start)) wanted.push({ ...kept, name: uri.slice(bucket.length) });
  }
  wanted.sort((a, b) => (a.order < b.order ? -1 : 1));
  const folders = new Set<string>();
  const listed: ListedObject[] = [];
  for (const { name, createdAt, info } of wanted) {
    const end = name.indexOf('/', prefix.name.length);
    if (end < 0) listed.push({ name, createdAt, metadata: info.metadata });
    else folders.add(name.slice(0, end + 1));
  }
  const next = listed[PAGE_SIZE]?.name;
  return { objects: listed.slice(0, PAGE_SIZE), folders: [...folders], ...(next === undefined ? {} : { next }) };
}
