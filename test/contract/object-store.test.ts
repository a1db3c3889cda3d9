import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createObjectStore } from '../../src/adapters/gcs/store.js';
import type { ObjectStore, ReadResult } from '../../src/domain/ports.js';
import { objectStoreContract } from '../support/contracts/object-store.js';
import { createScene, type Scene } from '../support/scene.js';

describe('ObjectStore on fake-gcs-server', () => {
  objectStoreContract(async () => {
    const scene = await createScene();
    return {
      store: createObjectStore({ emulator: scene.env.STORAGE_EMULATOR_HOST }),
      bucket: `results-${scene.id}`,
      replace: (name, text) => scene.results.file(name).save(text, { resumable: false }),
      close: () => scene.close(),
    };
  });
});

describe('the store of Cloud Storage', () => {
  let scene: Scene;
  let store: ObjectStore;
  const signal = new AbortController().signal;
  const ref = (name: string) => ({ bucket: `results-${scene.id}`, name });

  beforeAll(async () => {
    scene = await createScene();
    store = createObjectStore({ emulator: scene.env.STORAGE_EMULATOR_HOST });
  });
  afterAll(() => scene.close());

  it('reports a dead service as unavailable', async () => {
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
