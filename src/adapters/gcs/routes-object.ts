/** The routes as an object in Cloud Storage. */
import type { ObjectStore, RoutesRead, RoutesStore } from '../../domain/ports.js';
import { objectRef } from '../../domain/uri.js';
import {
  objectStoreOver,
  openApi,
  readUnless,
  replaceObject,
  type StorageService,
  type StoreOptions,
} from './store.js';

const JSON_TYPE = 'application/json';

/**
 * The history of `<name>` lies beside it, as `<name>.history/<generation>.json`: a generation is greater than all before it.
 * @param uri `gs://<bucket>/<name>`, checked before
 * @param maxBytes size limit of the document
 */
export function openRoutesObject(
  uri: string,
  maxBytes: number,
  service: StorageService,
  options?: StoreOptions,
): RoutesStore {
  const api = openApi(service, options);
  const store = objectStoreOver(api);
  const ref = objectRef(uri);
  const history = { bucket: ref.bucket, name: `${ref.name}.history/` };
  const kept = (generation: string) => ({ ...history, name: `${history.name}${generation}.json` });

  return {
    place: uri,
    async read(signal, known): Promise<RoutesRead> {
      const found =
        known === undefined
          ? await store.read(ref, { maxBytes, signal })
          : await readUnless(api, ref, known, maxBytes, signal);
      switch (found.kind) {
        case 'found':
          return { kind: 'found', text: found.bytes.toString('utf8'), generation: found.generation };
        case 'too-large':
          return { kind: 'unusable', reason: `expected at most ${maxBytes} bytes, found ${found.bytes}` };
        case 'corrupt':
        case 'refused':
          return { kind: 'unusable', reason: found.reason };
        default:
          return found;
      }
    },
    async write(text, former, signal) {
      const bytes = Buffer.from(text);
      const how = { contentType: JSON_TYPE, signal };
      if (former === undefined) {
        const created = await store.create(ref, bytes, how);
        return created.kind === 'created'
          ? { kind: 'written', generation: created.info.generation }
          : { kind: 'changed' };
      }
      // Another writer with the same former document keeps the same text under the same name.
      await store.create(kept(former.generation), Buffer.from(former.text), how);
      const { generation } = former;
      const info = await replaceObject(api, ref, bytes, { contentType: JSON_TYPE, generation }, signal);
      return info ? { kind: 'written', generation: info.generation } : { kind: 'changed' };
    },
    async history(current, signal) {
      const names = await namesUnder(store, history, signal);
      return names
        .flatMap((name) => /^(\d+)\.json$/.exec(name)?.[1] ?? [])
        .filter((generation) => generation !== current)
        .sort((a, b) => (BigInt(a) < BigInt(b) ? 1 : -1));
    },
    async former(id, signal) {
      if (!/^\d+$/.test(id)) return undefined;
      const found = await store.read(kept(id), { maxBytes, signal });
      return found.kind === 'found' ? found.bytes.toString('utf8') : undefined;
    },
  };
}

/** @returns names without the folder */
async function namesUnder(
  store: ObjectStore,
  folder: { readonly bucket: string; readonly name: string },
  signal: AbortSignal,
): Promise<string[]> {
  const names: string[] = [];
  let page: string | undefined;
  do {
    const { objects, next } = await store.list(folder, { page, signal });
    names.push(...objects.map(({ name }) => name.slice(folder.name.length)));
    page = next;
  } while (page !== undefined);
  return names;
}
