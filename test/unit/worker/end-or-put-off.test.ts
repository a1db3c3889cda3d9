import { describe, expect, it } from 'vitest';
import { ERROR_CODES, ERRORS, JobError } from '../../../src/domain/errors.js';
import { attemptsExhausted, endOrPutOff } from '../../../src/worker/end-or-put-off.js';

const MAX = 5;
const DAY_MS = 86_400_000;

describe('endOrPutOff', () => {
  it.each(ERROR_CODES)('%s has one verdict', (code) => {
    const outcome = endOrPutOff(new JobError(code, 'x'), { awayMs: 0, maxDeferredMs: DAY_MS });
    const { verdict } = ERRORS[code];
    if (verdict === 'defer') expect(outcome).toEqual({ kind: 'put off' });
    else
      expect(outcome).toMatchObject({
        kind: 'end',
        status: verdict === 'expire' ? 'expired' : 'failed',
        error: { code },
      });
  });

  it('ends a job when what it needs was away for too long, with the real reason', () => {
    const error = new JobError('STORAGE_UNAVAILABLE', 'no answer');
    expect(endOrPutOff(error, { awayMs: DAY_MS - 1, maxDeferredMs: DAY_MS }).kind).toBe('put off');
    expect(endOrPutOff(error, { awayMs: DAY_MS, maxDeferredMs: DAY_MS })).toMatchObject({
      kind: 'end',
      status: 'failed',
      error: { code: 'RETRIES_EXHAUSTED', message: 'after 86400 s: STORAGE_UNAVAILABLE: no answer' },
    });
  });
});

describe('overBudget', () => {
  it('lets the last permitted attempt through and stops the next', () => {
    expect(attemptsExhausted(MAX, MAX, undefined)).toBeUndefined();
    expect(attemptsExhausted(0, MAX, undefined)).toBeUndefined(); // a subscription that does not count
    expect(attemptsExhausted(MAX + 1, MAX, undefined)?.code).toBe('WORKER_LOST');
    expect(attemptsExhausted(MAX + 1, MAX, new JobError('MODEL_UNAVAILABLE', 'gone'))?.code).toBe('RETRIES_EXHAUSTED');
  });
});
