/** The routes as an object in Cloud Storage. */
import { pagesOf } from '../../domain/pages.js';
import type { RoutesRead, RoutesStore } from '../../domain/ports.js';
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
      // A public object is kept in caches for an hour otherwise.
      const as = { contentType: JSON_TYPE, cacheControl: 'no-store', generation };
      const info = await replaceObject(api, ref, bytes, as, signal);
      return info ? { kind: 'written', generation: info.generation } : { kind: 'changed' };
    },
    async history(current, signal) {
      const generations: string[] = [];
      for await (const { objects } of pagesOf(store, history, undefined, signal)) {
        for (const { name } of objects) {
          const generation = /^(\d+)\.json$/.exec(name.slice(history.name.length))?.[1];
          if (generation !== undefined) generations.push(generation);
        }
      }
      return generations
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
