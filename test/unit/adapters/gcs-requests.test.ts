/**
 * What the storage adapter makes of answers that no emulator gives: refusals, other codings, damage, slowness. A stand-in
 * answers as the service does.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/adapters/gcs/crc32c.js';
import { createObjectStore, type StoreOptions } from '../../../src/adapters/gcs/store.js';
import { standInForStorage, type StandInAnswer } from '../../support/storage-stand-in.js';

const ref = { bucket: 'pictures', name: 'a/b é.jpg' };
const signal = new AbortController().signal;
const text = (words: string) => Buffer.from(words);

let answer: (request: IncomingMessage) => StandInAnswer | Promise<StandInAnswer>;
let asked: string[];
const address = standInForStorage((request) => {
  asked.push(`${request.method} ${request.url}`);
  return answer(request);
});
const store = (options: StoreOptions = {}) => createObjectStore({ emulator: address() }, options);
const read = (maxBytes = 1_000) => store().read(ref, { maxBytes, signal });
const create = (bytes = text('x')) => store().create(ref, bytes, { contentType: 'image/png', signal });
beforeEach(() => {
  asked = [];
});

/** As the service describes stored bytes. */
const described = (bytes: Buffer, headers: Record<string, string | string[]> = {}) => ({
  'x-goog-generation': '7',
  'x-goog-stored-content-length': String(bytes.length),
  'x-goog-stored-content-encoding': 'identity',
  'x-goog-hash': [`crc32c=${crc32c(bytes)}`, 'md5=AAAA'],
  ...headers,
});
const envelope = (code: number, reason: string, message: string) => ({
  error: { code, message, errors: [{ message, domain: 'global', reason }] },
});

describe('a read', () => {
  it('is one request, of the generation that is asked for', async () => {
    const bytes = text('hello');
    answer = () => [200, bytes, described(bytes)];
    expect(await read()).toEqual({ kind: 'found', bytes, generation: '7' });
    await store().read({ ...ref, generation: '7' }, { maxBytes: 5, signal });
    const path = 'GET /storage/v1/b/pictures/o/a%2Fb%20%C3%A9.jpg?alt=media';
    expect(asked).toEqual([path, `${path}&generation=7`]);
  });

  it.each([
    ['other bytes', text('hellO'), described(text('hello')), /expected bytes of CRC32C .*, received/],
    ['fewer bytes', text('hell'), described(text('hello')), 'expected 5 bytes, received 4'],
    ['a page of somebody else', text('<html>'), {}, /x-goog-generation/],
    ['a broken gzip of the way', text('\x1f\x8bxx'), described(text('a'), { 'content-encoding': 'gzip' }), /inflate/],
  ])('takes %s for storage being unavailable', async (_, bytes, headers, message) => {
    answer = () => [200, bytes, headers];
    const needs = { kind: 'bucket', name: 'pictures', access: 'read' };
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', needs });
    await expect(read()).rejects.toThrow(message);
  });

  it('gives up what is too large without reading it', async () => {
    const endless = new Readable({ read: () => undefined });
    answer = () => [200, endless, { ...described(Buffer.alloc(0)), 'x-goog-stored-content-length': '1001' }];
    expect(await read()).toEqual({ kind: 'too-large', bytes: 1_001 });
  });

  it('stops at the limit where the length is not told', async () => {
    answer = () => [200, Readable.from([Buffer.alloc(900), Buffer.alloc(900)]), { 'x-goog-generation': '7' }];
    expect(await read()).toMatchObject({ kind: 'too-large' });
  });

  it('undoes a gzip of the way before it checks the bytes', async () => {
    const bytes = text('hello');
    answer = () => [200, gzipSync(bytes), described(bytes, { 'content-encoding': 'gzip' })];
    expect(await read()).toEqual({ kind: 'found', bytes, generation: '7' });
  });

  it('takes the bytes of a stored gzip that were inflated on the way', async () => {
    const headers = described(gzipSync('hello'), { 'x-goog-stored-content-encoding': 'gzip' });
    answer = () => [200, Readable.from([text('hello')]), headers];
    expect(await read()).toEqual({ kind: 'found', bytes: text('hello'), generation: '7' });
  });

  it('inflates a picture that is stored as gzip, within the limit: 05-gzip.jpg.gz', async () => {
    const given = (name: string) => readFileSync(new URL(`../../fixtures/cases/${name}`, import.meta.url));
    const [bytes, picture] = [given('05-gzip.jpg.gz'), given('02-base.jpg')];
    const gzip = { 'x-goog-stored-content-encoding': 'gzip', 'content-encoding': 'gzip' };
    answer = () => [200, bytes, described(bytes, gzip)];
    expect(await read(picture.length)).toEqual({ kind: 'found', bytes: picture, generation: '7' });
    expect(await read(picture.length - 1)).toMatchObject({ kind: 'too-large' });
  });

  it.each([
    ['Bucket is a requester pays bucket but no user project provided.', 'required'],
    [
      'The target object is encrypted by a customer-supplied encryption key.',
      'resourceIsEncryptedWithCustomerEncryptionKey',
    ],
    ['Bucket is requester pays bucket but no user project provided.', 'required'],
  ])('tells what the object demands: %s', async (message, reason) => {
    const refused = { kind: 'refused', reason: message };
    answer = () => [400, envelope(400, reason, message)];
    expect(await read()).toEqual(refused);
    // Where bytes are asked for, errors come as text; and gzipped, since that is accepted.
    answer = () => [400, text(message)];
    expect(await read()).toEqual(refused);
    answer = () => [400, gzipSync(message), { 'content-encoding': 'gzip' }];
    expect(await read()).toEqual(refused);
    // Jobs that read there end by themselves: the bucket is no bucket that is away.
    answer = () => [400, envelope(400, reason, message)];
    await store().checkAccess(ref, 'read', signal);
    await expect(store().stat(ref, signal)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});

describe('an answer that is not expected', () => {
  const calls = {
    read: () => read(),
    stat: () => store().stat(ref, signal),
    create: () => create(),
    'check to read': () => store().checkAccess(ref, 'read', signal),
    'check to create': () => store().checkAccess(ref, 'create', signal),
  };
  const STATUSES = [
    202, 204, 206, 301, 304, 307, 400, 401, 403, 405, 408, 409, 410, 413, 416, 418, 429, 500, 502, 503, 504,
  ];
  const cases = Object.keys(calls).flatMap((call) => STATUSES.map((status) => [call, status] as const));

  it.each(cases)('to %s is storage being unavailable: %i', async (call, status) => {
    answer = ({ url = '' }) =>
      url.includes('/o/a%2Fb') && status === 403 && !call.includes('read') && call !== 'stat'
        ? [404, envelope(404, 'notFound', 'No such object: pictures/x')]
        : [status, envelope(status, 'strange', 'in its own words')];
    const error: unknown = await calls[call as keyof typeof calls]().catch((thrown: unknown) => thrown);
    const access = call.includes('create') ? 'create' : 'read';
    expect(error).toMatchObject({ code: 'STORAGE_UNAVAILABLE', needs: { kind: 'bucket', name: 'pictures', access } });
    const { message } = error as Error;
    if (![204, 304].includes(status)) expect(message).toContain(`${status}: in its own words`);
    expect(message.includes('the worker lacks the right')).toBe(status === 401 || status === 403);
  });

  it.each(Object.keys(calls))('to %s names a bucket that is missing', async (call) => {
    answer = () => [404, envelope(404, 'notFound', 'The specified bucket does not exist.')];
    await expect(calls[call as keyof typeof calls]()).rejects.toThrow(
      /there is no bucket pictures.*create it, or mend/,
    );
    expect(asked).toHaveLength(1);
  });

  it.each(['read', 'stat', 'check to read'] as const)(
    'to %s is no miss where a proxy says 404 to everything',
    async (call) => {
      answer = () => [404, text('default backend - 404')];
      await expect(calls[call]()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      expect(asked[1]).toBe('GET /storage/v1/b/pictures/o?maxResults=1&fields=kind');
    },
  );

  it('is a miss where the service names the object, though its name be a trap', async () => {
    answer = () => [404, text('No such object: pictures/The specified bucket does not exist.')];
    expect(await read()).toEqual({ kind: 'missing' });
    expect(asked).toHaveLength(1);
  });

  it('is a miss where only the object may be read, and the bucket not listed', async () => {
    answer = ({ url = '' }) => (url.includes('maxResults') ? [403, envelope(403, 'forbidden', 'no')] : [404, text('')]);
    expect(await read()).toEqual({ kind: 'missing' });
  });
});

describe('a create', () => {
  it('sends metadata, checksum and bytes in one request', async () => {
    let body = '';
    let type = '';
    answer = async (request) => {
      type = request.headers['content-type'] ?? '';
      for await (const chunk of request as AsyncIterable<Buffer>) body += chunk.toString('latin1');
      return [200, { generation: '8', size: '3', crc32c: 'c', contentType: 'image/png', metadata: { k: 'v' } }];
    };
    const bytes = Buffer.from([0, 13, 255]);
    const options = { contentType: 'image/png', metadata: { k: 'v é' }, signal };
    expect(await store().create(ref, bytes, options)).toMatchObject({
      kind: 'created',
      info: { generation: '8', bytes: 3 },
    });
    expect(asked).toEqual([
      'POST /upload/storage/v1/b/pictures/o?uploadType=multipart&ifGenerationMatch=0&fields=generation,size,contentType,crc32c,metadata',
    ]);
    const boundary = /^multipart\/related; boundary=(\w+)$/.exec(type)?.[1] ?? '?';
    const [, resource = '', media] = body.split(`--${boundary}`);
    expect(JSON.parse(Buffer.from(resource.split('\r\n\r\n')[1] ?? '', 'latin1').toString())).toEqual({
      ...{ name: ref.name, crc32c: crc32c(bytes), contentType: 'image/png', metadata: { k: 'v é' } },
    });
    expect(media).toBe('\r\nContent-Type: image/png\r\n\r\n\0\r\xff\r\n');
  });

  it('whose object is gone again when it is looked for is tried again later', async () => {
    answer = ({ method }) =>
      method === 'POST' ? [412, envelope(412, 'conditionNotMet', 'x')] : [404, text('No such object: x')];
    await expect(create()).rejects.toThrow('refused as existing, but it is gone');
  });
});

describe('one request and the others', () => {
  it('an upload ends although downloads are given up all the time', async () => {
    let finish: () => void = () => undefined;
    const rest = new Promise<void>((resolve) => (finish = resolve));
    let arrive: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    let leave: () => void = () => undefined;
    answer = async ({ method }) => {
      if (method === 'POST') {
        arrive();
        await rest;
        return [200, { generation: '8', size: '1' }];
      }
      const stalling = new Readable({ read: () => undefined });
      stalling.push('begun');
      setImmediate(leave);
      return [200, stalling, { ...described(text('')), 'x-goog-stored-content-length': '900' }];
    };
    const shared = store({ idleMs: 100 });
    const created = shared.create(ref, text('x'), { contentType: 'image/png', signal });
    await arrived;
    for (let i = 0; i < 20; i++) {
      const leaving = new AbortController();
      // One is given up because nothing comes any more, the others by their caller.
      leave = () => {
        if (i > 0) leaving.abort(new Error('left'));
      };
      const reading = shared.read(ref, { maxBytes: 1_000, signal: leaving.signal });
      await expect(reading).rejects.toThrow(i > 0 ? 'left' : 'no byte for 100 ms');
    }
    finish();
    expect(await created).toMatchObject({ kind: 'created' });
  });
});
