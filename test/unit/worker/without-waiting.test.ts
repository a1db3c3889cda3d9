import { describe, expect, it } from 'vitest';
import type { Worker } from '../../../src/worker/context.js';
import { withoutWaiting } from '../../../src/worker/without-waiting.js';

describe('a worker without waiting', () => {
  it('tries storage once, and tells routes and lanes that the job is not patient', () => {
    const lanes: unknown[] = [];
    const singleTryStore = {};
    const worker = {
      parts: { store: {}, singleTryStore, share: { lane: (...how: unknown[]) => lanes.push(how) } },
      options: { statePrefix: 'gs://state', pipeline: { route: () => ({ waitMs: 10_000 }) } },
    } as unknown as Worker;
    const { parts, options } = withoutWaiting(worker);
    const job = {};
    parts.share.lane(job);
    expect(parts.store).toBe(singleTryStore);
    expect(lanes).toEqual([[job, false]]);
    expect(options.pipeline.route()).toEqual({ waitMs: 10_000, patient: false });
    expect(options.statePrefix).toBe('gs://state');
  });
});
