import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics/index.js';

export interface Health {
  /** Why the process should be restarted; undefined if it need not be. */
  readonly sick: () => string | undefined;
  /** Why the process cannot take jobs now; undefined if it can. A missing Triton is no reason to restart a worker. */
  readonly unready: () => string | undefined;
}

export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves `/livez`, `/readyz` and `/metrics`. Port 0 takes a free port. */
export async function startStatusServer(
  port: number,
  health: Health,
  metrics: Pick<Metrics, 'render'>,
): Promise<StatusServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, contentType: string, body: string) => {
      response.writeHead(status, { 'content-type': contentType }).end(request.method === 'HEAD' ? undefined : body);
    };
    const plain = (problem: string | undefined) =>
      answer(problem === undefined ? 200 : 503, 'text/plain; charset=utf-8', `${problem ?? 'ok'}\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(405, 'text/plain', 'method not allowed\n');
    else if (request.url === '/livez') plain(health.sick());
    else if (request.url === '/readyz') plain(health.sick() ?? health.unready());
    else if (request.url === '/metrics') {
      metrics.render().then(
        ({ contentType, body }) => answer(200, contentType, body),
        (error: unknown) => answer(500, 'text/plain', `${String(error)}\n`),
      );
    } else answer(404, 'text/plain', 'expected /livez, /readyz or /metrics\n');
  });
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
