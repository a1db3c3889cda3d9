import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import { type Buckets, createBuckets } from '../../../src/worker/buckets.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;
const ref = (name: string, bucket = 'in') => ({ bucket, name });
const limits = { maxBytes: 1, signal };
const denied = () => new JobError('STORAGE_UNAVAILABLE', 'the worker lacks the right');

describe('buckets', () => {
  let memory: ReturnType<typeof memoryStore>;
  let buckets: Buckets;
  let checked: string[];

  beforeEach(() => {
    vi.useFakeTimers();
    memory = memoryStore();
    checked = [];
    const { store } = memory;
    buckets = createBuckets({
      checkAccess: (place, access) => {
        checked.push(`${access} ${place.bucket}/${place.name}`);
        return store.checkAccess(place, access);
      },
    });
  });
  afterEach(() => {
    buckets.close();
    vi.useRealTimers();
  });

  it('are taken for usable until something fails', () => {
    expect(buckets.trouble('in', 'read')).toBeUndefined();
    expect(buckets.open()).toEqual([]);
  });

  it('cannot be used when a call has failed and a check of its folder fails too, until a check succeeds', async () => {
    memory.fail((_, uri) => {
      if (uri.startsWith('gs://in/')) throw denied();
    });
    const reading = buckets.watch(memory.store).read(ref('a/b/c.jpg'), limits);
    await expect(reading).rejects.toMatchObject({ needs: { kind: 'bucket', name: 'in', access: 'read' } });
    await vi.advanceTimersByTimeAsync(0);
    expect(checked).toEqual(['read in/a/b/.imagen-access-check']);
    expect(buckets.open()).toEqual([{ bucket: 'in', access: 'read', reason: 'the worker lacks the right' }]);
    expect(buckets.trouble('in', 'create')).toBeUndefined();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(buckets.trouble('in', 'read')).toBeDefined();
    memory.fail(undefined);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(buckets.open()).toEqual([]);
    const before = checked.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(checked).toHaveLength(before);
  });

  it('stay in use when one object alone cannot be read', async () => {
    memory.fail((_, uri) => {
      if (uri === 'gs://in/secret') throw denied();
    });
    const store = buckets.watch(memory.store);
    for (let i = 0; i < 20; i++) {
      await expect(store.read(ref('secret'), limits)).rejects.toThrow();
      await vi.advanceTimersByTimeAsync(500);
      expect(buckets.open()).toEqual([]);
    }
  });

  it('tell rights to read and to create apart', async () => {
    memory.fail((operation) => {
      if (operation === 'create') throw denied();
    });
    const store = buckets.watch(memory.store);
    const creating = store.create(ref('x', 'out'), Buffer.alloc(0), { contentType: '', signal });
    await expect(creating).rejects.toMatchObject({ needs: { name: 'out', access: 'create' } });
    await vi.advanceTimersByTimeAsync(0);
    await store.read(ref('y', 'out'), limits);
    expect(buckets.open()).toMatchObject([{ bucket: 'out', access: 'create' }]);
    expect(buckets.usedAt('out', 'read')).toBe(Date.now());
    expect(buckets.usedAt('out', 'create')).toBeUndefined();
  });

  it('are checked without a job where the configuration names them', async () => {
    memory.fail((_, uri) => {
      if (uri.startsWith('gs://gone/')) throw new JobError('STORAGE_UNAVAILABLE', 'no bucket gone');
    });
    await Promise.all([buckets.check(ref('x', 'gone'), 'create'), buckets.check(ref('x', 'in'), 'read')]);
    expect(buckets.open()).toEqual([{ bucket: 'gone', access: 'create', reason: 'no bucket gone' }]);
  });

  it('pass on what is no failure of theirs', async () => {
    memory.fail(() => {
      throw new JobError('INPUT_CORRUPT', 'no gzip');
    });
    await expect(buckets.watch(memory.store).read(ref('a'), limits)).rejects.toMatchObject({ code: 'INPUT_CORRUPT' });
    expect(checked).toEqual([]);
  });
});
