/** What every ObjectStore does: that of Cloud Storage, and the one in memory. */
import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../../src/domain/ports.js';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  /** A bucket that exists and is empty. */
  readonly bucket: string;
  /** Gives an object that exists another content, and with it another generation. */
  readonly replace: (name: string, text: string) => Promise<unknown>;
  readonly close: () => Promise<void>;
}

export function objectStoreContract(open: () => Promise<StoreUnderTest>): void {
  let under: StoreUnderTest;
  let store: ObjectStore;
  const signal = new AbortController().signal;
  setMaxListeners(0, signal); // many calls at once listen

  const ref = (name: string) => ({ bucket: under.bucket, name });
  const create = (name: string, text: string, metadata = {}) =>
    store.create(ref(name), Buffer.from(text), { contentType: 'text/plain', metadata, signal });

  beforeAll(async () => {
    under = await open();
    store = under.store;
  });
  afterAll(() => under.close());

  it('creates, describes and reads back', async () => {
    const created = await create('a', 'hello', { 'imagen-job-id': 'x' });
    expect(created).toMatchObject({ kind: 'created', info: { bytes: 5, contentType: 'text/plain' } });
    expect(await store.stat(ref('a'), signal)).toEqual(created.info);
    expect(created.info.metadata).toEqual({ 'imagen-job-id': 'x' });
    expect(created.info.crc32c).toBe('mnG7TA==');
    const read = await store.read(ref('a'), { maxBytes: 5, signal });
    expect(read).toEqual({ kind: 'found', bytes: Buffer.from('hello'), generation: created.info.generation });
  });

  it('answers that an object is missing, or empty, or too large', async () => {
    await create('empty', '');
    expect(await store.read(ref('nowhere'), { maxBytes: 5, signal })).toEqual({ kind: 'missing' });
    expect(await store.stat(ref('nowhere'), signal)).toBeUndefined();
    expect(await store.read(ref('empty'), { maxBytes: 5, signal })).toMatchObject({ bytes: Buffer.alloc(0) });
    expect(await store.read(ref('a'), { maxBytes: 4, signal })).toEqual({ kind: 'too-large', bytes: 5 });
  });

  it('lets exactly one of many creators win, and tells the others whether theirs is the same', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => create('race', `text ${i % 2}`)));
    const winners = answers.filter(({ kind }) => kind === 'created');
    expect(winners).toHaveLength(1);
    const same = answers.filter((answer) => answer.kind === 'exists' && answer.sameBytes);
    expect(same).toHaveLength(9);
  });

  it('keeps what was created when its creator writes to its buffer again', async () => {
    const bytes = Buffer.from('first');
    await store.create(ref('kept'), bytes, { contentType: 'text/plain', signal });
    bytes.write('later');
    expect(await store.read(ref('kept'), { maxBytes: 9, signal })).toMatchObject({ bytes: Buffer.from('first') });
  });

  it('reads the generation that it is asked for, and no other', async () => {
    const created = await create('pinned', 'first');
    const { generation } = created.info;
    expect(await store.read({ ...ref('pinned'), generation }, { maxBytes: 9, signal })).toMatchObject({
      kind: 'found',
    });
    await under.replace('pinned', 'second');
    expect(await store.read({ ...ref('pinned'), generation }, { maxBytes: 9, signal })).toEqual({ kind: 'missing' });
  });

  it('gives up when its caller does', async () => {
    const gone = AbortSignal.abort(new Error('given up'));
    await expect(store.read(ref('a'), { maxBytes: 5, signal: gone })).rejects.toThrow('given up');
    await expect(store.stat(ref('a'), gone)).rejects.toThrow('given up');
    await expect(store.list(ref(''), { signal: gone })).rejects.toThrow('given up');
    await expect(store.checkAccess(ref('a'), 'read', gone)).rejects.toThrow('given up');
    const late = { contentType: 'text/plain', signal: gone };
    await expect(store.create(ref('late'), Buffer.from('x'), late)).rejects.toThrow('given up');
    expect(await store.stat(ref('late'), signal)).toBeUndefined();
  });

  it('finds out whether it may read and create, and leaves nothing behind', async () => {
    await create('checked', 'x');
    for (const name of ['checked', 'folder/unchecked']) {
      await store.checkAccess(ref(name), 'read', signal);
      await store.checkAccess(ref(name), 'create', signal);
    }
    expect(await store.stat(ref('folder/unchecked'), signal)).toBeUndefined();
    expect(await store.stat(ref('checked'), signal)).toMatchObject({ bytes: 1 });
    expect(await create('folder/unchecked', 'y')).toMatchObject({ kind: 'created' });
  });

  describe('lists', () => {
    beforeAll(async () => {
      for (const name of ['b~r1', 'b', 'b~r2', 'deep/x', 'deeper/y/z', 'a'])
        await create(`list/${name}`, '', { kind: name });
    });
    const names = async (prefix: string, from?: string) => {
      const page = await store.list(ref(`list/${prefix}`), { from, signal });
      return { objects: page.objects.map(({ name }) => name.slice(5)), folders: page.folders };
    };

    it('what begins with a prefix, in order, and folders apart', async () => {
      expect(await names('')).toEqual({ objects: ['a', 'b', 'b~r1', 'b~r2'], folders: ['list/deep/', 'list/deeper/'] });
      expect(await names('b~r')).toEqual({ objects: ['b~r1', 'b~r2'], folders: [] });
      expect(await names('', 'list/b~r1')).toMatchObject({ objects: ['b~r1', 'b~r2'] });
      expect(await names('nothing')).toEqual({ objects: [], folders: [] });
    });

    it('names by their bytes, which UTF-16 orders otherwise', async () => {
      const inOrder = ['bytes/a', 'bytes/\ufb00', 'bytes/\u{1f600}'];
      for (const name of inOrder.toReversed()) await create(name, '');
      const from = async (name?: string) =>
        (await store.list(ref('bytes/'), { from: name, signal })).objects.map((object) => object.name);
      expect(await from()).toEqual(inOrder);
      expect(await from(inOrder[2])).toEqual(inOrder.slice(2));
    });

    it('their metadata, and when they were created', async () => {
      const { objects, next } = await store.list(ref('list/a'), { signal });
      expect(objects).toMatchObject([{ metadata: { kind: 'a' } }]);
      expect(Math.abs(Date.now() - (objects[0]?.createdAt.getTime() ?? 0))).toBeLessThan(60_000);
      expect(next).toBeUndefined();
    });

    it('page after page', async () => {
      const all = Array.from({ length: 1_003 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
      await Promise.all(all.map((name) => create(name, '')));
      const first = await store.list(ref('many/'), { signal });
      const second = await store.list(ref('many/'), { page: first.next, signal });
      expect([...first.objects, ...second.objects].map(({ name }) => name)).toEqual(all);
      expect([first.objects.length, second.next]).toEqual([1_000, undefined]);
    });
  });
}
