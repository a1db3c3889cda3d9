import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';

describe('JobError.from', () => {
  it('gives what may happen anywhere the stage that it was met in, once', () => {
    const needs = { kind: 'bucket', name: 'a', access: 'read' } as const;
    const down = new JobError('STORAGE_UNAVAILABLE', 'create gs://a/b: gone', { needs });
    const met = JobError.from(down, 'store');
    expect(met).toMatchObject({ code: 'STORAGE_UNAVAILABLE', stage: 'store', message: down.message, needs });
    expect(JobError.from(met, 'infer')).toBe(met);
  });

  it('leaves the others theirs', () => {
    const error = new JobError('OUTPUT_EXISTS', 'taken');
    expect(JobError.from(error, 'infer')).toBe(error);
    const known = new JobError('STORAGE_UNAVAILABLE', 'gone', { stage: 'record' });
    expect(JobError.from(known, 'infer')).toBe(known);
  });
});
