import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type BucketAccess, type BucketNeed, JobError } from '../../../src/domain/errors.js';
import type { ObjectStore } from '../../../src/domain/ports.js';
import { parseObjectUri } from '../../../src/domain/uri.js';
import { type Buckets, createBuckets } from '../../../src/scheduling/buckets.js';
import type { Prefixes } from '../../../src/scheduling/needs.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;
const ref = (name: string, bucket = 'in') => ({ bucket, name });
const limits = { maxBytes: 1, signal };
const places = {
  statePrefix: 'gs://state',
  outputPrefix: 'gs://out',
  allowedInputs: ['gs://in', 'gs://in/tenants/a/'],
  allowedOutputs: ['gs://out', 'gs://both/writable', 'gs://both/denied/'],
};
const place = (name: string, access: BucketAccess, folder?: string): BucketNeed => ({
  ...{ kind: 'bucket', name, access },
  ...(folder === undefined ? {} : { folder }),
});
const denied = () => new JobError('STORAGE_UNAVAILABLE', 'the worker lacks the right');

describe('buckets', () => {
  let memory: ReturnType<typeof memoryStore>;
  let buckets: Buckets;
  let checked: string[];
  let create: (more?: Partial<Prefixes>) => Buckets;

  beforeEach(() => {
    vi.useFakeTimers();
    memory = memoryStore();
    checked = [];
    const { store } = memory;
    const checking: Pick<ObjectStore, 'checkAccess'> = {
      checkAccess: (probe, access, signal) => {
        checked.push(`${access} ${probe.bucket}/${probe.name}`);
        return store.checkAccess(probe, access, signal);
      },
    };
    create = (more = {}) => (buckets = createBuckets(checking, { ...places, ...more }));
    create();
  });
  afterEach(() => {
    buckets.close();
    vi.useRealTimers();
  });

  it('are taken for usable until something fails', () => {
    expect(buckets.trouble(place('in', 'read'))).toBeUndefined();
    expect(buckets.open()).toEqual([]);
  });

  it('cannot be used when a call has failed and a check of its place fails too, until a check succeeds', async () => {
    memory.fail((_, uri) => {
      if (uri.startsWith('gs://in/')) throw denied();
    });
    const reading = buckets.watch(memory.store).read(ref('a/b/c.jpg'), limits);
    await expect(reading).rejects.toMatchObject({ needs: { ...place('in', 'read'), object: 'a/b/c.jpg' } });
    await vi.advanceTimersByTimeAsync(0);
    expect(checked).toEqual(['read in/.imagen-access-check']);
    expect(buckets.open()).toEqual([{ prefix: place('in', 'read'), reason: 'the worker lacks the right' }]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(buckets.trouble(place('in', 'read'))).toBeDefined();
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
    expect(buckets.open()).toMatchObject([{ prefix: place('out', 'create') }]);
    expect(buckets.usedAt('read bucket out')).toBe(Date.now());
    expect(buckets.usedAt('create bucket out')).toBeUndefined();
  });

  it('are checked without a job where the configuration names them', async () => {
    memory.fail((_, uri) => {
      if (uri.startsWith('gs://gone/')) throw new JobError('STORAGE_UNAVAILABLE', 'no bucket gone');
    });
    await create({ outputPrefix: 'gs://gone' }).checkAll();
    expect(buckets.open()).toEqual([{ prefix: place('gone', 'create'), reason: 'no bucket gone' }]);
    expect(buckets.usedAt('read bucket in')).toBeUndefined(); // a check is no use
  });

  it('are told apart by configured prefix, the innermost one for each object', async () => {
    memory.fail((operation, uri) => {
      if (operation === 'create' && uri.startsWith('gs://both/denied/')) throw denied();
    });
    await buckets.checkAll();
    const open = [{ prefix: place('both', 'create', 'denied'), reason: 'the worker lacks the right' }];
    expect(buckets.open()).toEqual(open);
    expect(checked.filter((one) => one.startsWith('create both/'))).toEqual([
      'create both/writable/.imagen-access-check',
      'create both/denied/.imagen-access-check',
    ]);
    const store = buckets.watch(memory.store);
    await store.create(ref('writable/x', 'both'), Buffer.alloc(0), { contentType: '', signal });
    expect(buckets.open()).toEqual(open);
    await store.read(ref('tenants/a/x'), limits);
    expect(buckets.usedAt('read bucket in/tenants/a')).toBe(Date.now());
    expect(buckets.usedAt('read bucket in')).toBeUndefined();
  });

  it.each([1_000, 1_003, 1_010, 1_022])(
    'are checked by a name that a folder of %i bytes leaves room for',
    async (length) => {
      const folder = 'f'.repeat(length);
      await create({ allowedInputs: [`gs://long/${folder}`] }).checkAll();
      const name = checked.find((one) => one.startsWith('read long/'))?.slice('read long/'.length) ?? '';
      expect(name.startsWith(`${folder}/`)).toBe(true);
      expect(parseObjectUri(`gs://long/${name}`)).toEqual({ bucket: 'long', name });
    },
  );

  it('pass on what is no failure of theirs', async () => {
    memory.fail(() => {
      throw new JobError('INPUT_CORRUPT', 'no gzip');
    });
    await expect(buckets.watch(memory.store).read(ref('a'), limits)).rejects.toMatchObject({ code: 'INPUT_CORRUPT' });
    expect(checked).toEqual([]);
  });
});
