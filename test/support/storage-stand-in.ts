/** A tiny server in the place of Cloud Storage's JSON API, for what no emulator does: refusals, settings of buckets. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach } from 'vitest';

/** Status, body and headers. Bytes and streams are sent as they are, anything else as JSON. */
export type StandInAnswer = readonly [
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, string | string[]>>,
];

/**
 * Starts one before each test of the block and ends it after.
 * @param answer what the request holds is its to read or to leave
 * @returns its base address, as that of an emulator
 */
export function standInForStorage(
  answer: (request: IncomingMessage) => StandInAnswer | Promise<StandInAnswer>,
): () => string {
  let server: Server;
  beforeEach(async () => {
    server = createServer((request, response) => {
      void Promise.resolve(answer(request)).then(([status, body, headers]) => {
        request.resume();
        const raw = Buffer.isBuffer(body) || body instanceof Readable;
        response.writeHead(status, { ...(raw ? {} : { 'content-type': 'application/json' }), ...headers });
        if (body instanceof Readable) {
          response.flushHeaders();
          body.pipe(response);
        } else {
          response.end(raw ? body : JSON.stringify(body));
        }
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
  return () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
