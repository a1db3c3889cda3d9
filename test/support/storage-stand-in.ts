/** A tiny server in the place of Cloud Storage's JSON API, for what no emulator does: refusals, settings of buckets. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Storage } from '@google-cloud/storage';
import { afterEach, beforeEach } from 'vitest';
import { createStorageClient } from '../../src/adapters/gcs/client.js';

/**
 * Starts one before each test of the block and ends it after.
 * @param answer the status and the JSON body; what the request holds is its to read or to leave
 * @returns makes a client of it
 */
export function standInForStorage(
  answer: (request: IncomingMessage) => [number, unknown] | Promise<[number, unknown]>,
): () => Storage {
  let server: Server;
  beforeEach(async () => {
    server = createServer((request, response) => {
      void Promise.resolve(answer(request)).then(([status, body]) => {
        request.resume();
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return () =>
    createStorageClient({ projectId: 'p', emulator: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
