import { describe, expect, it } from 'vitest';
import { GivenBack, JobError } from '../../../src/domain/errors.js';
import { JobContext } from '../../../src/pipeline/job-context.js';

describe('a step during which the job is stopped', () => {
  const away = new JobError('STORAGE_UNAVAILABLE', 'away');
  const forbidden = new JobError('INPUT_FORBIDDEN', 'forbidden');
  const timeout = new JobError('EXECUTION_TIMEOUT', 'too late');

  it.each([
    ['the outage that it met, if its own time limit has passed', timeout, away, 'STORAGE_UNAVAILABLE'],
    ['the time limit, if it met no outage', timeout, forbidden, 'EXECUTION_TIMEOUT'],
    ['the deadline', new JobError('DEADLINE_EXCEEDED', 'too late'), away, 'DEADLINE_EXCEEDED'],
  ])('ends with %s', async (_, reason, error, code) => {
    const stop = new AbortController();
    const work = () => {
      stop.abort(reason);
      throw error;
    };
    const step = new JobContext(stop.signal, 0).runStep({ name: 'fetch', stage: 'fetch' }, work);
    await expect(step).rejects.toMatchObject({ code, stage: 'fetch' });
  });

  it('ends with the stop of the worker', async () => {
    const stop = new AbortController();
    const reason = new GivenBack('the worker is stopping');
    const work = () => {
      stop.abort(reason);
      throw away;
    };
    await expect(new JobContext(stop.signal, 0).runStep({ name: 'fetch', stage: 'fetch' }, work)).rejects.toBe(reason);
  });
});
