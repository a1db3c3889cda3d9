import { describe, expect, it } from 'vitest';
import type { Job } from '../../../src/domain/job.js';
import type { ObjectStore } from '../../../src/domain/ports.js';
import type { Worker } from '../../../src/worker/context.js';
import { withoutWaiting } from '../../../src/worker/without-waiting.js';

describe('a worker without waiting', () => {
  it('tries storage once before the job has a result, and lets the job wait for no model', () => {
    const asked: unknown[] = [];
    const singleTryStore = {} as ObjectStore;
    const outcomeStore = {};
    const worker = {
      parts: { store: {}, singleTryStore, share: { scheduler: (...how: unknown[]) => asked.push(how) } },
      outcomeStore,
      options: {
        statePrefix: 'gs://state',
        pipeline: { route: () => ({ waitMs: 10_000 }), endOf: (_: string, from: unknown) => from },
      },
    } as unknown as Worker;
    const { parts, options } = withoutWaiting(worker);
    const job = {} as Job;
    parts.share.scheduler(job);
    expect(parts.store).toBe(singleTryStore);
    expect(asked).toEqual([[job, false]]);
    expect(options.pipeline.route(job)).toEqual({ waitMs: 10_000, patient: false });
    expect(options.pipeline.endOf('a', parts.store, new AbortController().signal)).toBe(outcomeStore);
    expect(options.statePrefix).toBe('gs://state');
  });
});
