import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createObjectStore } from '../../src/adapters/gcs/store.js';
import type { ObjectStore } from '../../src/domain/ports.js';
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
});
