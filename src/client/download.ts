import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { makeFolder } from '../adapters/files/make-folder.js';
import type { Completion } from '../domain/completion.js';
import { objectRef } from '../domain/uri.js';
import { recall } from '../records/recall.js';
import { ClientError } from './errors.js';
import type { Parts } from './parts.js';

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  /** Save the result here, too. Its folder is created. The file appears whole or not at all. */
  readonly to?: string;
}

/**
 * Reads the result of a job that has succeeded.
 * @param job its completion, or its id
 * @returns the bytes of the encoded picture, in the generation that the worker wrote
 * @throws ClientError `NO_RESULT`; JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE`; errors of the file system
 */
export function download(parts: Parts, job: string | Completion, options: DownloadOptions = {}): Promise<Buffer> {
  return parts.run(options.signal, async (signal) => {
    const completion = typeof job === 'string' ? await completionOf(parts, job, signal) : job;
    const { output, status, jobId = '' } = completion;
    if (!output) throw new ClientError('NO_RESULT', `${jobId}: the job has no result, it has ${status}`);
    const { uri, generation, bytes } = output;
    const found = await parts.store.read({ ...objectRef(uri), generation }, { maxBytes: bytes, signal });
    if (found.kind !== 'found') throw new ClientError('NO_RESULT', `${uri}: the result is no longer there`);
    if (options.to !== undefined) await save(options.to, found.bytes);
    return found.bytes;
  });
}

async function completionOf(parts: Parts, jobId: string, signal: AbortSignal): Promise<Completion> {
  const record = await recall(parts.store, parts.settings.statePrefix, jobId, signal);
  if (!record) throw new ClientError('NO_RESULT', `${jobId}: no such job has ended`);
  return record.completion;
}

/** Writes a temporary file and renames it, so that an interruption leaves no partial file. */
async function save(path: string, bytes: Buffer): Promise<void> {
  makeFolder(dirname(resolve(path)));
  // A short name: that of the result may be as long as a name can be.
  const beside = join(dirname(path), `.${randomBytes(6).toString('hex')}.part`);
  try {
    await writeFile(beside, bytes);
    await rename(beside, path);
  } catch (thrown) {
    await rm(beside, { force: true });
    throw thrown;
  }
}
