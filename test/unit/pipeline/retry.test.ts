import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import { backoffMs, retryingStore, withRetries } from '../../../src/pipeline/retry.js';
import { memoryStore } from '../../support/memory-store.js';

const never = new AbortController().signal;

function failing(code: 'STORAGE_UNAVAILABLE' | 'INFERENCE_FAILED' | 'UNKNOWN_MODEL', times: number) {
  let calls = 0;
  const work = () => (++calls <= times ? Promise.reject(new JobError(code, `call ${calls}`)) : Promise.resolve(calls));
  return { work, calls: () => calls };
}

describe('withRetries', () => {
  it('waits for what is unavailable', async () => {
    const { work } = failing('STORAGE_UNAVAILABLE', 2);
    expect(await withRetries(work, { unavailableMs: 5_000, failedAttempts: 1 }, never)).toBe(3);
  });

  it('gives up on it in time, with the last error', async () => {
    const { work, calls } = failing('STORAGE_UNAVAILABLE', 1_000);
    const startedAt = Date.now();
    await expect(withRetries(work, { unavailableMs: 300, failedAttempts: 1 }, never)).rejects.toThrow(/call/);
    expect(Date.now() - startedAt).toBeLessThan(600);
    expect(calls()).toBeGreaterThan(0);
  });

  it('tries again a few times what fails, and not at all what is wrong', async () => {
    const failed = failing('INFERENCE_FAILED', 1_000);
    await expect(withRetries(failed.work, { unavailableMs: 0, failedAttempts: 3 }, never)).rejects.toThrow('call 3');
    const wrong = failing('UNKNOWN_MODEL', 1_000);
    await expect(withRetries(wrong.work, { unavailableMs: 9_000, failedAttempts: 3 }, never)).rejects.toThrow('call 1');
  });

  it('does not run a suspect job again, though what it needs may be back', async () => {
    let calls = 0;
    const work = () => {
      calls++;
      return Promise.reject(new JobError('MODEL_UNAVAILABLE', 'its process died', { costsAttempt: true }));
    };
    const limits = { unavailableMs: 9_000, failedAttempts: 3 };
    await expect(withRetries(work, limits, never)).rejects.toMatchObject({ costsAttempt: true });
    expect(calls).toBe(1);
  });

  it.each([
    ['that deferred the job, when the own time limit of the job passes', 'EXECUTION_TIMEOUT', 'STORAGE_UNAVAILABLE'],
    ['of the signal, when the deadline passes', 'DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'],
  ] as const)('ends with the error %s', async (_, limit, expected) => {
    const limits = { unavailableMs: 60_000, failedAttempts: 1 };
    // During the pause between two attempts.
    const pausing = new AbortController();
    const { work } = failing('STORAGE_UNAVAILABLE', 1_000);
    const waiting = withRetries(() => work().finally(() => setImmediate(passed)), limits, pausing.signal);
    const passed = () => pausing.abort(new JobError(limit, 'too late'));
    await expect(waiting).rejects.toMatchObject({ code: expected });
    // During an attempt that gets no answer.
    const asking = new AbortController();
    let calls = 0;
    const ask = () => {
      if (calls++ > 0) asking.abort(new JobError(limit, 'too late'));
      return Promise.reject((asking.signal.reason as Error | undefined) ?? new JobError('STORAGE_UNAVAILABLE', 'away'));
    };
    await expect(withRetries(ask, limits, asking.signal)).rejects.toMatchObject({ code: expected });
  });

  it('ends with its caller', async () => {
    const { work } = failing('STORAGE_UNAVAILABLE', 1_000);
    const signal = AbortSignal.timeout(100);
    await expect(withRetries(work, { unavailableMs: 60_000, failedAttempts: 1 }, signal)).rejects.toThrow();
    expect(signal.aborted).toBe(true);
  });
});

describe('retryingStore', () => {
  it('asks once whether a place can be used', async () => {
    const { work, calls } = failing('STORAGE_UNAVAILABLE', 1);
    const store = retryingStore(
      { ...memoryStore().store, checkAccess: () => work().then(() => undefined) },
      { unavailableMs: 5_000, failedAttempts: 3 },
    );
    await expect(store.checkAccess({ bucket: 'b', name: 'x' }, 'create', never)).rejects.toThrow('call 1');
    expect(calls()).toBe(1);
  });
});

describe('backoffMs', () => {
  it('doubles up to its limit, with full jitter', () => {
    expect([1, 2, 3, 20].map((failures) => backoffMs(failures, undefined, () => 1))).toEqual([200, 400, 800, 5_000]);
    expect(backoffMs(3, undefined, () => 0)).toBe(0);
    expect(backoffMs(20, 1_000, () => 1)).toBe(1_000);
  });
});
