import { describe, expect, it } from 'vitest';
import { ERROR_CODES, ERRORS, JobError } from '../../../src/domain/errors.js';
import { overBudget, settle } from '../../../src/worker/settle.js';

const MAX = 5;

describe('settle', () => {
  it.each(ERROR_CODES)('%s has one verdict on the first attempt', (code) => {
    const outcome = settle(new JobError(code, 'x'), 1, MAX);
    const { verdict } = ERRORS[code];
    if (verdict === 'retry') expect(outcome).toEqual({ kind: 'again' });
    else {
      expect(outcome).toMatchObject({
        kind: 'end',
        status: verdict === 'expire' ? 'expired' : 'failed',
        error: { code },
        deadLetter: verdict === 'reject',
      });
    }
  });

  it('ends what can be retried with its last attempt, as a dead letter that names the real reason', () => {
    expect(settle(new JobError('STORAGE_UNAVAILABLE', 'no answer'), MAX - 1, MAX).kind).toBe('again');
    expect(settle(new JobError('STORAGE_UNAVAILABLE', 'no answer'), MAX, MAX)).toMatchObject({
      kind: 'end',
      status: 'failed',
      deadLetter: true,
      error: { code: 'RETRIES_EXHAUSTED', message: 'after 5 attempts: STORAGE_UNAVAILABLE: no answer' },
    });
  });

  it('never runs out of attempts that nobody counts', () => {
    expect(settle(new JobError('STORAGE_UNAVAILABLE', 'x'), 0, MAX).kind).toBe('again');
    expect(overBudget(0, MAX, undefined)).toBeUndefined();
  });
});

describe('overBudget', () => {
  it('lets the last permitted attempt through and stops the next', () => {
    expect(overBudget(MAX, MAX, undefined)).toBeUndefined();
    expect(overBudget(MAX + 1, MAX, undefined)?.code).toBe('WORKER_LOST');
    expect(overBudget(MAX + 1, MAX, new JobError('MODEL_UNAVAILABLE', 'gone'))?.code).toBe('RETRIES_EXHAUSTED');
  });
});
