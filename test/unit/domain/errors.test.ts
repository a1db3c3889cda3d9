import { describe, expect, it } from 'vitest';
import { storageError } from '../../../src/adapters/gcs/errors.js';
import { JobError } from '../../../src/domain/errors.js';

describe('JobError.from', () => {
  it('gives what may happen anywhere the stage that it was met in, once', () => {
    const down = storageError('create gs://a/b', Object.assign(new Error('gone'), { code: 503 }));
    expect(JobError.from(down, 'store')).toMatchObject({ code: 'STORAGE_UNAVAILABLE', stage: 'store' });
    const wrong = storageError('create gs://a/b', Object.assign(new Error('bad name'), { code: 400 }));
    const met = JobError.from(wrong, 'store');
    expect(met).toMatchObject({ code: 'INTERNAL', stage: 'store', message: 'create gs://a/b: bad name' });
    expect(JobError.from(met, 'infer')).toBe(met);
  });

  it('leaves the others theirs', () => {
    const error = new JobError('OUTPUT_EXISTS', 'taken');
    expect(JobError.from(error, 'infer')).toBe(error);
    const known = new JobError('STORAGE_UNAVAILABLE', 'gone', { stage: 'record' });
    expect(JobError.from(known, 'infer')).toBe(known);
  });
});
