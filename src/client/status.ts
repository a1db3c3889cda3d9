import type { Completion } from '../domain/completion.js';
import { recall } from '../records/recall.js';
import { type JobRequest, requestOf } from '../records/request.js';
import type { Parts } from './parts.js';
import { readReceipt, requestOfReceipt } from './receipt.js';

/**
 * - `ended`: the record says how.
 * - `submitted`: this library published it, and it has not ended.
 * - `unknown`: no record and no receipt. A job that another program published has neither until it has ended.
 */
export interface JobStatus {
  readonly jobId: string;
  readonly state: 'ended' | 'submitted' | 'unknown';
  readonly completion?: Completion;
  /** What the publisher asked for, where it is known. */
  readonly request?: JobRequest;
  /** When it was published, as RFC 3339. */
  readonly submittedAt?: string;
}

/** @throws JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE` */
export function status(
  parts: Parts,
  jobId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<JobStatus> {
  return parts.run(options.signal, async (signal) => {
    const [record, receipt] = await Promise.all([
      recall(parts.store, parts.settings.statePrefix, jobId, signal),
      readReceipt(parts, jobId, signal),
    ]);
    const request = (record && requestOf(record)) ?? (receipt && requestOfReceipt(receipt));
    return {
      jobId,
      state: record ? 'ended' : receipt ? 'submitted' : 'unknown',
      ...(record ? { completion: record.completion } : {}),
      ...(request ? { request } : {}),
      ...(receipt ? { submittedAt: receipt.submittedAt } : {}),
    };
  });
}
