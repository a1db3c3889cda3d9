import type { RoutesStore } from '../domain/ports.js';
import { openRoutesFile } from './files/routes-file.js';
import type { StoreOptions } from './gcs/store.js';
import { openRoutesObject } from './gcs/routes-object.js';

/** Size limit of the routes document, in bytes. */
const MAX_BYTES = 1024 ** 2;

/** The routes at a path, or at `gs://<bucket>/<object>`. It needs no closing. */
export function openRoutesStore(
  { routesFile, storageEmulator }: { readonly routesFile: string; readonly storageEmulator: string | undefined },
  options?: StoreOptions,
): RoutesStore {
  if (!routesFile.startsWith('gs://')) return openRoutesFile(routesFile, MAX_BYTES);
  return openRoutesObject(routesFile, MAX_BYTES, { emulator: storageEmulator }, options);
}
