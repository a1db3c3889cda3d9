/** Stands between a program and the storage emulator, and may hold a request before or after the emulator has it. */
import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** `before`: the emulator has not got the request yet. `after`: it has answered, and the program has not got the answer. */
export type Moment = 'before' | 'after';

/** @param hold called at both moments of each request; the request goes on when its promise resolves, and has no answer if it rejects */
export async function startStorageProxy(
  target: string,
  hold: (line: string, moment: Moment) => Promise<void> | undefined,
) {
  const { hostname, port: targetPort } = new URL(target);
  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    await hold(line, 'before');
    const { method, url: path, headers } = request;
    const sent = forward({ hostname, port: targetPort, method, path, headers });
    request.pipe(sent);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const chunks = await answer.toArray();
    await hold(line, 'after');
    response.writeHead(answer.statusCode ?? 502, answer.headers).end(Buffer.concat(chunks as Buffer[]));
  }
  const server = createServer((request, response) => {
    pass(request, response).catch(() => response.destroy()); // one of the two ends has gone
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
