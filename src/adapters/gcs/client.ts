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
  return new Storage({
    projectId,
    ...(emulator === undefined ? {} : { apiEndpoint: emulator }),
    retryOptions: { autoRetry: false },
  });
}
