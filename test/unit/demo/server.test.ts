import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createFeed } from '../../../scripts/dev/demo/live/feed.js';
import { beginning, kindOf, readPicture } from '../../../scripts/dev/demo/live/pictures.js';
import { MAX_BODY_BYTES, type PageServer, startPageServer } from '../../../scripts/dev/demo/live/server.js';
import type { Order } from '../../../scripts/dev/demo/live/submit.js';
import { JobError } from '../../../src/domain/errors.js';
import { memoryStore } from '../../support/memory-store.js';

const picture = { bytes: Buffer.from('picture'), contentType: 'image/png' };
const submit = vi.fn((order: Order) =>
  order.bytes.length > 0 ? Promise.resolve('page-1') : Promise.reject(new JobError('INPUT_EMPTY', 'nothing')),
);
const burst = vi.fn(() => Promise.resolve('burst-1'));
const cancel = vi.fn((key: string) => Promise.resolve(key === 'a:b' ? 'canceled' : undefined));
const feed = createFeed({ snapshot: () => ({ jobs: ['a\nb'] }), changes: () => ({ jobs: [] }) });
let server: PageServer;

beforeAll(async () => {
  server = await startPageServer(0, {
    feed,
    submit,
    burst,
    cancel,
    picture: (key, side) => Promise.resolve(key === 'a:b' && side === 'after' ? picture : undefined),
  });
});

afterAll(async () => {
  feed.close();
  await server.close();
});

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

/** Not fetch, which sets some of these headers itself. */
function ask(path: string, { method = 'GET', headers = {}, body }: Asked = {}) {
  return new Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]>; text: string }>(
    (resolve, reject) => {
      const { hostname, port } = new URL(server.url);
      const sent = request({ hostname, port, path, method, headers }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      });
      sent.on('error', reject);
      sent.end(body);
    },
  );
}

const own = (): string => server.url.slice(0, -1);
const post = (path: string, body: Buffer, headers: Record<string, string> = { origin: own() }) =>
  ask(path, { method: 'POST', headers, body });

describe('refusals', () => {
  it('of names of others that lead here', async () => {
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1', 'localhost:1']) {
      expect(await ask('/', { headers: { host } })).toMatchObject({ status: 421 });
    }
    const { port } = new URL(server.url);
    expect(await ask('/', { headers: { host: `localhost:${port}` } })).toMatchObject({ status: 200 });
  });

  it('of jobs that another site sends', async () => {
    const body = Buffer.from('x');
    for (const origin of ['http://evil.example', 'null', own().replace('http', 'https'), `${own()}0`]) {
      expect(await post('/jobs?operations=a', body, { origin })).toMatchObject({ status: 403 });
    }
    expect(await post('/jobs?operations=a', body, {})).toMatchObject({ status: 403 });
    for (const path of ['/bursts?operations=a', '/jobs/a%3Ab/cancel']) {
      expect(await post(path, body, { origin: 'http://evil.example' }), path).toMatchObject({ status: 403 });
      expect(await ask(path), path).toMatchObject({ status: 405 });
    }
    for (const action of [submit, burst, cancel]) expect(action).not.toHaveBeenCalled();
  });

  it('of what is too large, announced or not', async () => {
    const announced = { origin: own(), 'content-length': String(MAX_BODY_BYTES + 1) };
    const answer = await post('/jobs?operations=a', Buffer.from('x'), announced);
    expect(answer).toMatchObject({ status: 413 });
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'INPUT_TOO_LARGE' } });
    const chunked = { origin: own(), 'transfer-encoding': 'chunked' };
    const outcome = await post('/jobs?operations=a', Buffer.alloc(MAX_BODY_BYTES + 1), chunked).catch(
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
    // It may be cut off before it can read why.
    expect(['EPIPE', 'ECONNRESET', 413]).toContain(typeof outcome === 'object' ? outcome.status : outcome);
    expect(submit).not.toHaveBeenCalled();
  });

  it('of other methods, paths and pictures', async () => {
    expect(await ask('/', { method: 'DELETE' })).toMatchObject({ status: 405 });
    expect(await ask('/jobs')).toMatchObject({ status: 405 });
    for (const path of ['/jobs/other/cancel', '/jobs/%E0/cancel']) {
      expect(await post(path, Buffer.alloc(0)), path).toMatchObject({ status: 404 });
    }
    const paths = ['/nothing', '/../package.json', '/%2e%2e/package.json', '/board.ts', '//evil.example/', '/samples/'];
    const foreign = ['/pictures/other/after', '/pictures/a:b/before', '/pictures/%E0/after', '/pictures/a:b/after/x'];
    for (const path of [...paths, ...foreign]) expect(await ask(path), path).toMatchObject({ status: 404 });
  });

  it('name the code', async () => {
    const answer = await post('/jobs?operations=a', Buffer.alloc(0));
    expect(answer).toMatchObject({ status: 400 });
    expect(JSON.parse(answer.text)).toEqual({ error: { code: 'INPUT_EMPTY', message: 'nothing' } });
  });
});

describe('answers', () => {
  it('let a page run its own scripts alone', async () => {
    for (const path of ['/', '/live.js', '/pictures/a%3Ab/after', '/nothing']) {
      const { headers } = await ask(path);
      const policy = headers['content-security-policy'];
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).not.toContain('unsafe');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    expect((await ask('/')).text).not.toMatch(/ style=| on\w+=|<script>|<style/);
  });

  it('hand on the picture, the operations in order and the format', async () => {
    const answer = await post('/jobs?operations=b,a&format=webp', Buffer.from('x'));
    expect(answer).toMatchObject({ status: 201, text: '{"jobId":"page-1"}' });
    expect(submit).toHaveBeenLastCalledWith({ bytes: Buffer.from('x'), operations: ['b', 'a'], format: 'webp' });
  });

  it('to a burst and to the cancellation of a job say what has been made and what has become of it', async () => {
    const made = await post('/bursts?operations=b,a', Buffer.alloc(0));
    expect(made).toMatchObject({ status: 201, text: '{"group":"burst-1"}' });
    expect(burst).toHaveBeenLastCalledWith(['b', 'a']);
    const canceled = await post('/jobs/a%3Ab/cancel', Buffer.alloc(0));
    expect(canceled).toMatchObject({ status: 200, text: '{"state":"canceled"}' });
  });

  it('give pictures and files with their types', async () => {
    const typeOf = async (path: string) => (await ask(path)).headers['content-type'];
    expect(await typeOf('/pictures/a:b/after')).toBe('image/png');
    expect(await typeOf('/samples/coffee.jpg')).toBe('image/jpeg');
    expect(await typeOf('/slider.js')).toBe('text/javascript; charset=utf-8');
  });

  it('tell of events, everything first', async () => {
    const response = await fetch(`${server.url}events`);
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(Buffer.from(first?.value ?? []).toString()).toContain('event: snapshot\ndata: {"jobs":["a\\nb"]}\n\n');
    feed.stir();
    const second = await reader?.read();
    expect(Buffer.from(second?.value ?? []).toString()).toBe('event: change\ndata: {"jobs":[]}\n\n');
    await reader?.cancel();
  });
});

describe('pictures', () => {
  const ref = { bucket: 'out', name: 'x.png' };
  const storeOf = (bytes: Buffer) => {
    const { store, replace } = memoryStore();
    replace(ref, bytes);
    return store;
  };

  it('are what their bytes say, and nothing else is given', async () => {
    const photo = await readFile('test/fixtures/photos/chelsea.jpg');
    const signal = new AbortController().signal;
    expect(await readPicture(storeOf(photo), ref, signal)).toMatchObject({ contentType: 'image/jpeg' });
    for (const text of ['<html><script>alert(1)</script>', '<svg xmlns="http://www.w3.org/2000/svg"/>', '%PDF', '']) {
      expect(await readPicture(storeOf(Buffer.from(text)), ref, signal)).toBeUndefined();
    }
  });

  it('are known by their first bytes', async () => {
    const { default: sharp } = await import('sharp');
    const blank = sharp({ create: { width: 8, height: 8, channels: 3, background: '#888' } });
    for (const format of ['png', 'jpeg', 'webp', 'avif', 'gif', 'tiff'] as const) {
      const bytes = await blank.clone().toFormat(format).toBuffer();
      expect(kindOf(bytes)?.contentType).toBe(`image/${format}`);
      const first = bytes.toString('latin1', 0, beginning.bytes);
      expect(first).toMatch(new RegExp(beginning.pattern));
      expect(new RegExp(beginning.shown).test(first)).toBe(format !== 'tiff');
    }
    const film = '\0\0\0\x18ftypisom\0\0\0\0isommp42';
    expect(kindOf(Buffer.from(film, 'latin1'))).toBeUndefined();
    expect(film).not.toMatch(new RegExp(beginning.pattern));
  });
});
