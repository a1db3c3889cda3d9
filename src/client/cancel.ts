import type { Completion } from '../domain/completion.js';
import { eventIdOfJob } from '../domain/fingerprint.js';
import { SCHEMA_VERSION } from '../domain/job.js';
import { decide } from '../records/decide.js';
import { recall } from '../records/recall.js';
import type { Parts } from './parts.js';
import { readReceipt, requestOfReceipt } from './receipt.js';

export interface CancelOptions {
  readonly signal?: AbortSignal;
  /** Cancel an id of which nothing is known. Its job may have been published by another program, or come later. */
  readonly force?: boolean;
}

/**
 * - `canceled`: the record says so, and the worker that meets the job publishes its completion.
 * - `ended before`: the job has another outcome already.
 * - `unknown`: nothing is known of such a job, and nothing was done.
 */
export type Canceled =
  { readonly state: 'canceled' | 'ended before'; readonly completion: Completion } | { readonly state: 'unknown' };

/**
 * Ends a job as canceled, wherever it is, also one that no worker has seen yet.
 * @throws JobError `STORAGE_UNAVAILABLE`, `RECORD_UNREADABLE`
 */
export async function cancel(parts: Parts, jobId: string, options: CancelOptions = {}): Promise<Canceled> {
  const { statePrefix } = parts.settings;
  return parts.run(options.signal, async (signal) => {
    const receipt = await readReceipt(parts, jobId, signal);
    if (!receipt && !options.force) {
      const known = await recall(parts.store, statePrefix, jobId, signal);
      return known ? outcome(known.completion) : { state: 'unknown' };
    }
    const { redriveOf, group, tenant } = receipt?.message ?? {};
    const completion: Completion = {
      schemaVersion: SCHEMA_VERSION,
      eventId: eventIdOfJob(jobId, 'canceled'),
      jobId,
      ...(redriveOf === undefined ? {} : { redriveOf }),
      ...(group === undefined ? {} : { group }),
      ...(tenant === undefined ? {} : { tenant }),
      status: 'canceled',
    };
    const request = receipt && requestOfReceipt(receipt);
    // Without a fingerprint, the record cancels every message with this id, even one that no worker has seen yet.
    const record = { fingerprint: null, completion, ...(request ? { request } : {}) };
    const decided = await decide(parts.store, statePrefix, jobId, record, signal);
    return outcome(decided.record.completion);
  });
}

function outcome(completion: Completion): Canceled {
  return { state: completion.status === 'canceled' ? 'canceled' : 'ended before', completion };
}
