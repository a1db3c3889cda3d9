import { Storage } from '@google-cloud/storage';

export interface StorageConnection {
  readonly projectId: string;
  /** Base address of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

/**
 * Creates the only client of the process. Its own retries are off: they ignore a job's deadline, and one unconditional
 * upload switches them off permanently (file.save in storage 7.22). pipeline/retry.ts retries instead.
 */
export function createStorageClient({ projectId, emulator }: StorageConnection): Storage {
  const retryOptions = { autoRetry: false };
  if (emulator === undefined) return new Storage({ projectId, retryOptions });
  const storage = new Storage({ projectId, retryOptions, apiEndpoint: emulator });
  // If STORAGE_EMULATOR_HOST is also in the environment, the client uses it as the whole base address.
  storage.baseUrl = `${emulator}/storage/v1`;
  return storage;
}
