import type { ListPage, ObjectStore } from './ports.js';
import type { ObjectRef } from './uri.js';

/** Every page of a list. @throws JobError `STORAGE_UNAVAILABLE`; the signal's reason */
export async function* pagesOf(
  store: ObjectStore,
  prefix: ObjectRef,
  from: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ListPage, void, void> {
  let page: string | undefined;
  do {
    const listed = await store.list(prefix, { from, page, signal });
    yield listed;
    page = listed.next;
  } while (page !== undefined);
}
