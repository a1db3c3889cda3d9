import { Storage } from '@google-cloud/storage';

export interface StorageConnection {
  readonly projectId: string;
  /** Base address of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

/**
 * One client for the process. Its own retries are off: they do not know a job's deadline, and one unconditional upload
 * switches them off for good (file.save in storage 7.22); pipeline/retry.ts does it instead.
 */
export function createStorageClient({ projectId, emulator }: StorageConnection): Storage {
  const retryOptions = { autoRetry: false };
  if (emulator === undefined) return new Storage({ projectId, retryOptions });
  const storage = new Storage({ projectId, retryOptions, apiEndpoint: emulator });
  // When STORAGE_EMULATOR_HOST is in the environment too, the client takes it for the whole base address.
  storage.baseUrl = `${emulator}/storage/v1`;
  return storage;
}
