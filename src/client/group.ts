import type { CountedGroup, GroupCompletion } from '../domain/group-completion.js';
import { readGroup } from '../records/groups.js';
import type { Parts } from './parts.js';
import { untilFound } from './poll.js';
import type { WaitOptions } from './wait-for.js';

const LONGEST_PAUSE_MS = 5_000;

/**
 * Waits until all jobs of a group have ended and their completions are published. To see how far it is, use `countJobs`.
 * @param group with the same total as in its jobs
 * @throws JobError `RECORD_UNREADABLE`; `STORAGE_UNAVAILABLE` after half a minute without storage
 * @throws the signal's reason
 */
export function waitForGroup(
  parts: Parts,
  group: CountedGroup,
  options: Omit<WaitOptions, 'by'> = {},
): Promise<GroupCompletion> {
  return parts.run(options.signal, (signal) => {
    const look = () => readGroup(parts.store, parts.settings.statePrefix, group, signal);
    return untilFound(look, LONGEST_PAUSE_MS, signal, options.onPause);
  });
}
