import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createObjectStore } from '../../src/adapters/gcs/store.js';
import type { ObjectStore, ReadResult } from '../../src/domain/ports.js';
import { createScene, type Scene } from '../support/scene.js';

describe('ObjectStore on fake-gcs-server', () => {
  let scene: Scene;
  let store: ObjectStore;
  const signal = new AbortController().signal;
  setMaxListeners(0, signal); // many calls at once listen

  const ref = (name: string) => ({ bucket: `results-${scene.id}`, name });
  const create = (name: string, text: string, metadata = {}) =>
    store.create(ref(name), Buffer.from(text), { contentType: 'text/plain', metadata, signal });

  beforeAll(async () => {
    scene = await createScene();
    const { STORAGE_EMULATOR_HOST: emulator } = scene.env;
    store = createObjectStore({ emulator });
  });
  afterAll(() => scene.close());

  it('creates, describes and reads back', async () => {
    const created = await create('a', 'hello', { 'imagen-job-id': 'x' });
    expect(created).toMatchObject({ kind: 'created', info: { bytes: 5, contentType: 'text/plain' } });
    expect(await store.stat(ref('a'), signal)).toEqual(created.info);
    expect(created.info.metadata).toEqual({ 'imagen-job-id': 'x' });
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

  it('reads the generation that it is asked for, and no other', async () => {
    const created = await create('pinned', 'first');
    const { generation } = created.info;
    expect(await store.read({ ...ref('pinned'), generation }, { maxBytes: 9, signal })).toMatchObject({
      kind: 'found',
    });
    await scene.results.file('pinned').save('second', { resumable: false });
    expect(await store.read({ ...ref('pinned'), generation }, { maxBytes: 9, signal })).toEqual({ kind: 'missing' });
  });

  it('gives up when its caller does, and reports a dead service as unavailable', async () => {
    const gone = AbortSignal.abort(new Error('given up'));
    await expect(store.read(ref('a'), { maxBytes: 5, signal: gone })).rejects.toThrow('given up');
    const nobody = createObjectStore({ emulator: 'http://127.0.0.1:9' });
    await expect(nobody.stat(ref('a'), signal)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });

  describe('of a bucket that is missing', () => {
    const nowhere = () => ({ bucket: `nowhere-${scene.id}`, name: 'x' });
    it.each([
      ['read', () => store.read(nowhere(), { maxBytes: 5, signal })],
      ['stat', () => store.stat(nowhere(), signal)],
      ['create', () => store.create(nowhere(), Buffer.from('x'), { contentType: 'text/plain', signal })],
      ['list', () => store.list(nowhere(), { signal })],
      ['check to read', () => store.checkAccess(nowhere(), 'read', signal)],
      ['check to create', () => store.checkAccess(nowhere(), 'create', signal)],
    ] as const)('says so to a %s', async (call, ask) => {
      const access = call.includes('create') ? 'create' : 'read';
      const needs = { kind: 'bucket', name: nowhere().bucket, access };
      await expect(ask()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', needs });
      await expect(ask()).rejects.toThrow(`there is no bucket ${nowhere().bucket}`);
    });
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

  describe('of an object with a Content-Encoding', () => {
    const photo = readFileSync('test/fixtures/photos/coffee.jpg');
    const put = async (name: string, bytes: Buffer, contentEncoding: string) => {
      // As `gsutil cp -Z` does: what is stored is compressed already.
      await scene.results.file(name).save(bytes, { resumable: false, metadata: { contentEncoding } });
      return store.read(ref(name), { maxBytes: 1_000_000, signal });
    };

    /** vitest compares large buffers byte by byte, in seconds. */
    const holds = (found: ReadResult, bytes: Buffer) => found.kind === 'found' && found.bytes.equals(bytes);

    it.each(['gzip', 'x-gzip', 'GZIP'])('inflates %s', async (coding) => {
      expect(holds(await put(`z-${coding}`, gzipSync(photo), coding), photo)).toBe(true);
    });

    it('inflates several members, and ignores what follows them', async () => {
      const [a, b] = [photo.subarray(0, 999), photo.subarray(999)];
      const members = Buffer.concat([gzipSync(a), gzipSync(b), Buffer.alloc(7)]);
      expect(holds(await put('members', members, 'gzip'), photo)).toBe(true);
    });

    it('takes bytes that are not compressed, as they are', async () => {
      const found = await put('plain', photo, 'gzip');
      expect(holds(found, photo)).toBe(true);
      expect(found).not.toHaveProperty('contentEncoding');
      expect(await put('nothing', Buffer.alloc(0), 'gzip')).toMatchObject({ kind: 'found', bytes: Buffer.alloc(0) });
    });

    it('undoes the one gzip that is declared, and no second', async () => {
      expect(holds(await put('twice', gzipSync(gzipSync(photo)), 'gzip'), gzipSync(photo))).toBe(true);
    });

    it('stops at the limit of bytes', async () => {
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      expect(bomb.length).toBeLessThan(100_000);
      const found = await put('bomb', bomb, 'gzip');
      expect(found.kind === 'too-large' && found.bytes > 1_000_000 && found.bytes < 1_200_000).toBe(true);
      const exact = gzipSync(Buffer.alloc(1_000_000));
      expect(holds(await put('exact', exact, 'gzip'), Buffer.alloc(1_000_000))).toBe(true);
    });

    it.each([
      ['ends early', (bytes: Buffer) => bytes.subarray(0, -20)],
      ['has only its first bytes', (bytes: Buffer) => bytes.subarray(0, 2)],
      ['is damaged inside', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 99), randomBytes(999)])],
    ])('knows of gzip that %s, that it is stored so', async (how, damage) => {
      const found = await put(`corrupt ${how}`, damage(gzipSync(randomBytes(5_000))), 'gzip');
      expect(found).toMatchObject({ kind: 'corrupt', reason: expect.stringMatching(/does not inflate/) as string });
    });

    it.each(['br', 'zstd', 'gzip, gzip', 'utf-8'])('leaves %s, and names it', async (contentEncoding) => {
      const bytes = brotliCompressSync('x');
      const found = await put(`left ${contentEncoding}`, bytes, contentEncoding);
      expect(found).toMatchObject({ kind: 'found', bytes, contentEncoding });
    });
  });
});
