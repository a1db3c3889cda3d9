import { GivenBack } from '../domain/errors.js';
import type { JobRecord } from '../records/record.js';

export interface RecordWatch {
  /** Fires with a GivenBack when the job has ended elsewhere: it was canceled, or another worker finished first. */
  readonly signal: AbortSignal;
  /** The record of that end. */
  readonly found: () => JobRecord | undefined;
  stop(): void;
}

/** Every job ends a watch, so the reason is made once. */
const OVER = new GivenBack('the job is over');

/**
 * Polls for the record of a job while it is in work.
 * @param look a recall; a failed one is ignored
 * @param everyMs pause between two polls, in milliseconds
 */
export function watchRecord(
  look: (signal: AbortSignal) => Promise<JobRecord | undefined>,
  everyMs: number,
): RecordWatch {
  const ended = new AbortController();
  const stopped = new AbortController();
  let found: JobRecord | undefined;
  let timer: NodeJS.Timeout;
  const again = () => {
    timer = setTimeout(() => {
      // The work continues in parallel and asks storage itself before it ends. A failure here says nothing about the job.
      look(stopped.signal).then(
        (record) => {
          if (stopped.signal.aborted) return;
          found = record;
          if (record) ended.abort(new GivenBack('the job has ended elsewhere'));
          else again();
        },
        () => {
          if (!stopped.signal.aborted) again();
        },
      );
    }, everyMs);
  };
  again();
  return {
    signal: ended.signal,
    found: () => found,
    stop() {
      clearTimeout(timer);
      stopped.abort(OVER);
    },
  };
}
