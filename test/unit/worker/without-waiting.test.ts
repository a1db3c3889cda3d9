import { describe, expect, it } from 'vitest';
import type { Job } from '../../../src/domain/job.js';
import type { Worker } from '../../../src/worker/context.js';
import { withoutWaiting } from '../../../src/worker/without-waiting.js';

describe('a worker without waiting', () => {
  it('tries storage once, and tells routes and asked that the job is not patient', () => {
    const asked: unknown[] = [];
    const singleTryStore = {};
    const worker = {
      parts: { store: {}, singleTryStore, share: { scheduler: (...how: unknown[]) => asked.push(how) } },
      options: { statePrefix: 'gs://state', pipeline: { route: () => ({ waitMs: 10_000 }) } },
    } as unknown as Worker;
    const { parts, options } = withoutWaiting(worker);
    const job = {} as Job;
    parts.share.scheduler(job);
    expect(parts.store).toBe(singleTryStore);
    expect(asked).toEqual([[job, false]]);
    expect(options.pipeline.route(job)).toEqual({ waitMs: 10_000, patient: false });
    expect(options.statePrefix).toBe('gs://state');
  });
});
