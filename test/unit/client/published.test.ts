import { describe, expect, it } from 'vitest';
import { ignoredOf } from '../../../src/client/published.js';
import type { JobMessage } from '../../../src/domain/job.js';

const asked = (fields: Partial<JobMessage> = {}, attributes = {}, orderingKey?: string) => ({
  message: { jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a' }, ...fields },
  ...{ attributes, ...(orderingKey === undefined ? {} : { orderingKey }) },
});

describe('a request that was submitted before', () => {
  it('is told which of its fields have no effect', () => {
    const group = { id: 'g', total: 2 };
    const changes: [string, ReturnType<typeof asked>][] = [
      ['group', asked({ group })],
      ['tenant', asked({ tenant: 't' })],
      ['metadata', asked({ metadata: { cart: 1 } })],
      ['priority', asked({ priority: 'interactive' })],
      ['deadline', asked({ deadline: '2030-01-01T00:00:00Z' })],
      ['timeoutSeconds', asked({ timeoutSeconds: 5 })],
      ['experimentKey', asked({ experimentKey: 'k' })],
      ['attributes', asked({}, { tenant: 'x' })],
      ['orderingKey', asked({}, {}, 'k')],
    ];
    for (const [field, changed] of changes) {
      expect(ignoredOf(changed, asked())).toEqual([field]);
      expect(ignoredOf(asked(), changed)).toEqual([field]); // the job has what this request does not ask for
      expect(ignoredOf(changed, changed)).toEqual([]);
    }
    expect(ignoredOf(asked({ group, metadata: {} }), asked({ group: { id: 'g' } }))).toEqual(['group', 'metadata']);
  });

  it('has nothing that is ignored where only the writing differs', () => {
    const added = { model: 'x', priority: 'batch', googclient_traceparent: '00-1', traceparent: '00-2' };
    expect(ignoredOf(asked({}, { tenant: 'x' }), asked({ priority: 'batch' }, { ...added, tenant: 'x' }, ''))).toEqual(
      [],
    );
    const [one, other] = ['2030-01-01T00:00:00Z', '2030-01-01T01:00:00+01:00'].map((deadline) => asked({ deadline }));
    expect(ignoredOf(one ?? asked(), other ?? asked())).toEqual([]);
    expect(ignoredOf(asked({ metadata: { a: 1, b: 2 } }), asked({ metadata: { b: 2, a: 1 } }))).toEqual([]);
  });
});
