/** A proxy in front of the storage emulator that counts the requests to each bucket, by what Google bills them as. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Class A: creating and listing objects. Class B: reading an object or its metadata, also one that is missing. */
export interface Requests {
  a: number;
  b: number;
}

/** The look with which a worker finds out what an emulator's 404 means. Google's service says it in its words. */
const BUCKET_LOOK = '/o?maxResults=1&fields=kind';

function classOf({ method, url = '' }: IncomingMessage): keyof Requests {
  const isList = /\/b\/[^/]+\/o(?:\?|$)/.test(url);
  return method === 'GET' && !isList ? 'b' : 'a';
}

/** @param emulator base address of the emulator, such as `http://127.0.0.1:4443` */
export async function countStorageRequests(emulator: string) {
  let counts: Requests = { a: 0, b: 0 };
  const server = createServer((asked, answer) => {
    if (!asked.url?.endsWith(BUCKET_LOOK)) counts[classOf(asked)]++;
    const { method, url, headers } = asked;
    const onward = forward(new URL(url ?? '/', emulator), { method, headers }, (found) => {
      answer.writeHead(found.statusCode ?? 502, found.headers);
      found.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** @returns the requests since the last call */
    take(): Requests {
      const taken = counts;
      counts = { a: 0, b: 0 };
      return taken;
    },
    close(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}
