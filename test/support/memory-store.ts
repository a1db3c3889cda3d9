import type { ObjectInfo, ObjectStore } from '../../src/domain/ports.js';
import { objectUri } from '../../src/domain/uri.js';

/** Objects in memory, for what real storage cannot be made to do at will: to fail for exactly one call. */
export function memoryStore() {
  const objects = new Map<string, { bytes: Buffer; info: ObjectInfo }>();
  let failing: ((operation: 'read' | 'create', uri: string) => void) | undefined;
  const failure = (operation: 'read' | 'create', uri: string) =>
    new Promise<void>((resolve) => {
      failing?.(operation, uri);
      resolve();
    });
  const store = {
    async read(ref) {
      await failure('read', objectUri(ref));
      const found = objects.get(objectUri(ref));
      return found ? { kind: 'found', bytes: found.bytes, generation: '1' } : { kind: 'missing' };
    },
    stat: (ref) => Promise.resolve(objects.get(objectUri(ref))?.info),
    async create(ref, bytes, { contentType, metadata = {} }) {
      await failure('create', objectUri(ref));
      const found = objects.get(objectUri(ref));
      if (found) return { kind: 'exists', info: found.info, sameBytes: found.bytes.equals(bytes) };
      const info = { generation: '1', bytes: bytes.length, contentType, crc32c: '', metadata };
      objects.set(objectUri(ref), { bytes, info });
      return { kind: 'created', info };
    },
    list(prefix, { from = '' }) {
      const start = objectUri(prefix);
      const bucket = start.slice(0, start.length - prefix.name.length);
      const names = [...objects.keys()]
        .filter((uri) => uri.startsWith(start) && uri.slice(bucket.length) >= from)
        .sort();
      const deeper = names.filter((uri) => uri.slice(start.length).includes('/'));
      const folders = new Set(deeper.map((uri) => uri.slice(bucket.length, uri.indexOf('/', start.length) + 1)));
      const listed = names.flatMap((uri) => {
        const metadata = objects.get(uri)?.info.metadata ?? {};
        return deeper.includes(uri) ? [] : [{ name: uri.slice(bucket.length), createdAt: new Date(0), metadata }];
      });
      return Promise.resolve({ objects: listed, folders: [...folders] });
    },
    checkAccess: (ref, access) => failure(access, objectUri(ref)),
  } satisfies ObjectStore;
  return { store, objects, fail: (how: typeof failing) => (failing = how) };
}
