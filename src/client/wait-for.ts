import { setTimeout as sleep } from 'node:timers/promises';
import type { Completion } from '../domain/completion.js';
import { anyOf, unless } from '../domain/signals.js';
import { recall } from '../records/recall.js';
import type { Parts } from './parts.js';
import { untilFound } from './poll.js';
import { checkFingerprint, type Submitted } from './submit.js';

export interface WaitOptions {
  /**
   * `record` (default): looks at the record once a second. `completions`: looks when the job's completion is published, and
   * twice a minute in case; many waits then cost hardly any requests. It needs the right to make a subscription.
   */
  readonly by?: 'record' | 'completions';
  /** Ends the wait: `AbortSignal.timeout(60_000)`, for example. */
  readonly signal?: AbortSignal;
  /** Called before each pause. It must not throw. */
  readonly onPause?: () => void;
}

const LONGEST_PAUSE_MS = 1_000;
/** Between two looks at a record whose completion will be noticed. */
const LONGEST_WITH_COMPLETIONS_MS = 30_000;

/**
 * Waits until a job has ended, and returns what its record says. Waiters take no completion from each other.
 * @param job an id, or what `submit` returned: then the record must be that of the same request
 * @throws JobError `JOB_ID_REUSED`, `RECORD_UNREADABLE`; `STORAGE_UNAVAILABLE` after half a minute without storage
 * @throws ClientError `TOPIC_NOT_FOUND`, `PUBSUB_DENIED`, `PUBSUB_UNAVAILABLE` with `by: 'completions'`; the signal's reason
 */
export function waitFor(
  parts: Parts,
  job: string | Pick<Submitted, 'jobId' | 'fingerprint'>,
  options: WaitOptions = {},
): Promise<Completion> {
  const { jobId, fingerprint } = typeof job === 'string' ? { jobId: job, fingerprint: undefined } : job;
  return parts.run(options.signal, async (signal) => {
    const look = () => recall(parts.store, parts.settings.statePrefix, jobId, signal);
    const record = await (options.by === 'completions'
      ? untilTold(parts, jobId, look, signal, options.onPause)
      : untilFound(look, LONGEST_PAUSE_MS, signal, options.onPause));
    if (fingerprint !== undefined) checkFingerprint(jobId, fingerprint, record);
    return record.completion;
  });
}

/** Looks whenever a completion of the job has come. The record exists before its completion is published. */
async function untilTold<T>(
  { arrivals }: Parts,
  jobId: string,
  look: () => Promise<T | undefined>,
  signal: AbortSignal,
  onPause?: () => void,
): Promise<T> {
  let hasCome = false;
  let wake = (): void => undefined;
  const watching = arrivals.watch(jobId, () => {
    hasCome = true;
    wake();
  });
  const stop = await unless(signal, watching).catch((thrown: unknown) => {
    watching.then(
      (unwatch) => unwatch(),
      () => undefined,
    );
    throw thrown;
  });
  const pause = async () => {
    if (!hasCome) {
      const early = new AbortController();
      wake = () => early.abort();
      const { signal: either, release } = anyOf([signal, early.signal]);
      await sleep(LONGEST_WITH_COMPLETIONS_MS, undefined, { signal: either }).catch(() => signal.throwIfAborted());
      release();
    }
    hasCome = false;
  };
  try {
    return await untilFound(look, LONGEST_WITH_COMPLETIONS_MS, signal, onPause, pause);
  } finally {
    stop();
  }
}
