import { describe, expect, it } from 'vitest';
import { createPolls } from '../../../src/client/polls.js';
import type { JobRecord } from '../../../src/records/record.js';

const record = (jobId: string): JobRecord => ({
  fingerprint: null,
  completion: { schemaVersion: 1, eventId: 'e', jobId, status: 'canceled' },
});
const FAST = { atOnce: 2, perSecond: 100_000, everyMs: 1 };

describe('polls', () => {
  it('look at every job in turn until its record is there, and at a bounded number at once', async () => {
    const looks = new Map<string, number>();
    let [now, most] = [0, 0];
    const look = async (jobId: string) => {
      most = Math.max(most, ++now);
      await new Promise(setImmediate);
      now--;
      const seen = (looks.get(jobId) ?? 0) + 1;
      looks.set(jobId, seen);
      return seen === 3 ? record(jobId) : undefined;
    };
    const polls = createPolls(look, new AbortController().signal, FAST);
    const ids = Array.from({ length: 20 }, (_, i) => `job-${i}`);
    const records = await Promise.all(ids.map((id) => polls.wait(id)));
    expect(records.map(({ completion }) => completion.jobId)).toEqual(ids);
    expect([...looks.values()]).toEqual(ids.map(() => 3));
    expect(most).toBe(2);
  });

  it('keep to their rate', async () => {
    let count = 0;
    const stop = new AbortController();
    const look = () => {
      if (++count === 6) stop.abort(new Error('enough'));
      return Promise.resolve(undefined);
    };
    const startedAt = performance.now();
    const polls = createPolls(look, stop.signal, { atOnce: 2, perSecond: 100, everyMs: 0 });
    const waits = ['a', 'b', 'c'].map((id) => polls.wait(id));
    expect((await Promise.allSettled(waits)).map(({ status }) => status)).toEqual(waits.map(() => 'rejected'));
    // Two lanes of 50 a second: the third look of each comes after two pauses of 20 ms.
    expect(performance.now() - startedAt).toBeGreaterThan(35);
  });

  it('end the wait for a job alone whose look throws', async () => {
    const look = (jobId: string) =>
      jobId === 'bad' ? Promise.reject(new Error('unreadable')) : Promise.resolve(record(jobId));
    const polls = createPolls(look, new AbortController().signal, FAST);
    const [bad, good] = await Promise.allSettled([polls.wait('bad'), polls.wait('good')]);
    expect(bad).toMatchObject({ reason: { message: 'unreadable' } });
    expect(good.status).toBe('fulfilled');
    expect((await polls.wait('later')).completion.jobId).toBe('later');
  });
});
