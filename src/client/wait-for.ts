import type { Completion } from '../domain/completion.js';
import { recall } from '../records/recall.js';
import type { Parts } from './parts.js';
import { untilFound } from './poll.js';
import { checkFingerprint, type Submitted } from './submit.js';

export interface WaitOptions {
  /** Ends the wait: `AbortSignal.timeout(60_000)`, for example. */
  readonly signal?: AbortSignal;
  /** Called before each pause. It must not throw. */
  readonly onPause?: () => void;
}

const LONGEST_PAUSE_MS = 1_000;

/**
 * Waits until a job has ended, by its record. Waiters take no completion from each other, and need no subscription.
 * @param job an id, or what `submit` returned: then the record must be that of the same request
 * @throws JobError `JOB_ID_REUSED`, `RECORD_UNREADABLE`; `STORAGE_UNAVAILABLE` after half a minute without storage
 * @throws the signal's reason
 */
export function waitFor(
  parts: Parts,
  job: string | Pick<Submitted, 'jobId' | 'fingerprint'>,
  options: WaitOptions = {},
): Promise<Completion> {
  const { jobId, fingerprint } = typeof job === 'string' ? { jobId: job, fingerprint: undefined } : job;
  return parts.run(options.signal, async (signal) => {
    const look = () => recall(parts.store, parts.settings.statePrefix, jobId, signal);
    const record = await untilFound(look, LONGEST_PAUSE_MS, signal, options.onPause);
    if (fingerprint !== undefined) checkFingerprint(jobId, fingerprint, record);
    return record.completion;
  });
}
