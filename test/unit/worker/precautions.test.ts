import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import type { PlannedRequest, RequestScheduler } from '../../../src/pipeline/transform.js';
import { precautionsAfter, withPrecautions } from '../../../src/worker/precautions.js';

describe('the care that a job needs', () => {
  it.each([
    ['a request that got no answer', { unanswered: 'lost' as const }, { suspectSince: expect.any(Number) as number }],
    ['the end of its process', { costsAttempt: true }, { suspectSince: expect.any(Number) as number }],
    ['a lack of memory', { outOfMemory: true, costsAttempt: true }, { alone: true }],
    ['an outage', {}, {}],
  ])('after %s', (_what, options, care) => {
    expect(precautionsAfter({}, new JobError('MODEL_UNAVAILABLE', 'x', options))).toEqual(care);
  });

  it('is kept, whatever comes later', () => {
    const care = { suspectSince: 1, alone: true };
    expect(precautionsAfter(care, new JobError('MODEL_UNAVAILABLE', 'x'))).toEqual(care);
    expect(precautionsAfter(care, new Error('the worker is stopping'))).toEqual(care);
  });

  it('goes with each of its requests', async () => {
    const seen: (number | undefined)[] = [];
    const schedule: RequestScheduler = (request, task) => {
      seen.push(request.suspectSince);
      return task({ width: 1, height: 1 }, { apart: false, copies: 1 });
    };
    const request: PlannedRequest = { model: 'm', version: '1', priority: 'batch', shape: { width: 1, height: 1 } };
    const { signal } = new AbortController();
    await withPrecautions(schedule, { suspectSince: 7 })(request, () => Promise.resolve(), signal);
    await withPrecautions(schedule, { alone: true })(request, () => Promise.resolve(), signal);
    expect(seen).toEqual([7, undefined]);
  });
});
