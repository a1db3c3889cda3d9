import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { JobError } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { timeLimit } from '../../../src/worker/deadline.js';

const job = (more: object) =>
  parseJob(Buffer.from(JSON.stringify({ jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a' }, ...more })));
const outer = new AbortController().signal;
/** A limit that is to fire has had its turn by then, in milliseconds. */
const TURN_MS = 20;

describe('timeLimit', () => {
  it('has fired already when the deadline is past', () => {
    const { signal } = timeLimit(job({ deadline: '2020-01-01T00:00:00Z' }), [outer]);
    expect((signal.reason as JobError).code).toBe('DEADLINE_EXCEEDED');
  });

  it('fires after the time that an attempt may take', async () => {
    const { signal } = timeLimit(job({ timeoutSeconds: 0.02 }), [outer]);
    expect(signal.aborted).toBe(false);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    expect((signal.reason as JobError).code).toBe('EXECUTION_TIMEOUT');
  });

  it('does not count the time for which the process was stopped', async () => {
    const { signal } = timeLimit(job({ timeoutSeconds: 0.9 }), [outer]);
    const from = Date.now();
    while (Date.now() - from < 1_500); // nothing of the process runs, as if it had been stopped
    await sleep(TURN_MS);
    expect(signal.aborted).toBe(false);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    expect((signal.reason as JobError).code).toBe('EXECUTION_TIMEOUT');
  });

  it('does not fire for a deadline beyond the reach of a timer', async () => {
    const { signal, clear } = timeLimit(job({ deadline: '2200-01-01T00:00:00Z' }), [outer]);
    await sleep(TURN_MS);
    expect(signal.aborted).toBe(false);
    clear();
  });

  it('goes by the clock when it is asked, where the timer has had no turn', () => {
    const limit = timeLimit(job({ deadline: new Date(Date.now() + 20).toISOString() }), [outer]);
    const from = Date.now();
    while (Date.now() - from < 30); // as a busy event loop does
    expect(limit.signal.aborted).toBe(false);
    limit.check();
    expect((limit.signal.reason as JobError).code).toBe('DEADLINE_EXCEEDED');
    limit.clear();
  });
});
