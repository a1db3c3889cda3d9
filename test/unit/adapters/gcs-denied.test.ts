/**
 * A create that storage denies, against a stand-in for three calls: emulators know no rights, so none of them answers 403.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CRC32C } from '@google-cloud/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createStorageClient } from '../../../src/adapters/gcs/client.js';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';

const bytes = Buffer.from('a result');
const crc32c = (of: Buffer) => {
  const sum = new CRC32C();
  sum.update(of);
  return sum.toString();
};

describe('a create that is denied', () => {
  let server: Server;
  let there: Buffer | undefined;
  const create = () => {
    const emulator = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const store = createObjectStore(createStorageClient({ projectId: 'p', emulator }));
    const options = { contentType: 'image/png', signal: AbortSignal.timeout(10_000) };
    return store.create({ bucket: 'results', name: 'x.png' }, bytes, options);
  };

  beforeEach(async () => {
    there = undefined;
    server = createServer((request, response) => {
      request.resume();
      const answer = (status: number, body: object) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      if (request.method === 'POST') answer(403, { error: { code: 403, message: 'storage.objects.delete denied' } });
      else if (!there) answer(404, { error: { code: 404, message: 'not found' } });
      else answer(200, { name: 'x.png', generation: '7', size: String(there.length), crc32c: crc32c(there) });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  it('is an object that exists, where there is one: the right to replace it is not needed', async () => {
    there = bytes;
    await expect(create()).resolves.toMatchObject({ kind: 'exists', sameBytes: true, info: { generation: '7' } });
    there = Buffer.from('another');
    await expect(create()).resolves.toMatchObject({ kind: 'exists', sameBytes: false });
  });

  it('is a right that is missing, where there is none', async () => {
    await expect(create()).rejects.toThrow(/delete denied.*lacks the right/);
  });
});
