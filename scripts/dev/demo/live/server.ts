/**
 * The live page over HTTP, for the browsers of this machine alone:
 *
 *   GET  /                                 the page, its scripts, styles and sample photographs
 *   GET  /events                           what happens, as Server-Sent Events
 *   GET  /pictures/<key>/before|after      pictures of jobs that are shown
 *   POST /jobs?operations=a,b&format=png   a picture as the body becomes a job; answers { "jobId" }
 *   POST /jobs/<key>/cancel                a job that is shown; answers { "state" }
 *   POST /bursts?operations=a,b            sixty pictures of sixty sizes at once; answers { "group" }
 *
 * Whatever is refused is answered with { "error": { "code", "message" } }.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { JobError } from '../../../../src/domain/errors.js';
import type { Side } from './board.js';
import type { Feed } from './feed.js';
import { pageFiles } from './files.js';
import type { Picture } from './pictures.js';
import type { Order } from './submit.js';

export interface LivePage {
  readonly feed: Pick<Feed, 'join'>;
  submit(order: Order): Promise<string>;
  /** @returns the group's id */
  burst(operations: readonly string[]): Promise<string>;
  /** @returns what has become of it; undefined where no such job is shown without an outcome */
  cancel(key: string): Promise<string | undefined>;
  /** Undefined where there is none that may be shown. @throws JobError */
  picture(key: string, side: Side): Promise<Picture | undefined>;
}

export type PageServer = Awaited<ReturnType<typeof startPageServer>>;

export const MAX_BODY_BYTES = 32 * 1024 ** 2;

/** Scripts and styles are files of ours. `data:` is for the slider's handle and the icon, `blob:` for a picture not yet sent. */
const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join('; ');
const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export async function startPageServer(port: number, page: LivePage) {
  const files = pageFiles();
  let hosts: readonly string[] = [];

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request;
    // A name of somebody else's that leads here would make our pages theirs.
    if (!hosts.includes(headers.host ?? '')) throw new Refusal(421, 'WRONG_HOST', `expected ${hosts.join(' or ')}`);
    const address = addressed(() => new URL(`http://page${request.url ?? '/'}`));
    const action = actionAt(address.pathname);
    if (action) {
      const { host = '', origin } = request.headers;
      if (method !== 'POST') throw new Refusal(405, 'WRONG_METHOD', 'expected POST');
      // Any site may have its visitors' browsers post to any address; they say who asked for it.
      if (origin !== `http://${host}`) throw new Refusal(403, 'WRONG_ORIGIN', 'expected a request of this page');
      answerJson(response, ...(await action(request, address.searchParams)));
    } else if (method === 'GET' || method === 'HEAD') await serve(response, address.pathname);
    else throw new Refusal(405, 'WRONG_METHOD', 'expected GET');
  }

  /** What a POST to this path does. */
  function actionAt(path: string): Action | undefined {
    if (path === '/jobs') {
      return async (request, query) => {
        const format = query.get('format') ?? undefined;
        return [201, { jobId: await page.submit({ bytes: await bodyOf(request), operations: named(query), format }) }];
      };
    }
    if (path === '/bursts') return async (_, query) => [201, { group: await page.burst(named(query)) }];
    const [, key] = /^\/jobs\/([^/]+)\/cancel$/.exec(path) ?? [];
    if (key === undefined) return undefined;
    return async () => {
      const state = await page.cancel(addressed(() => decodeURIComponent(key)));
      if (state === undefined) throw new Refusal(404, 'NOT_FOUND', 'expected a job that has not ended');
      return [200, { state }];
    };
  }

  async function serve(response: ServerResponse, path: string): Promise<void> {
    const file = files.get(path);
    if (file) {
      answer(response, 200, file, 'no-cache');
    } else if (path === '/events') {
      page.feed.join(response);
    } else {
      const [, key, side] = /^\/pictures\/([^/]+)\/(before|after)$/.exec(path) ?? [];
      const picture =
        key &&
        (await page.picture(
          addressed(() => decodeURIComponent(key)),
          side as Side,
        ));
      if (!picture) throw new Refusal(404, 'NOT_FOUND', `nothing at ${path}`);
      answer(response, 200, picture, 'private, max-age=3600');
    }
  }

  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    handle(request, response).catch((error: unknown) => {
      if (!request.complete) response.setHeader('connection', 'close');
      const { status, code, message } = refusalOf(error);
      answerJson(response, status, { error: { code, message } });
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: taken } = server.address() as AddressInfo;
  hosts = [`127.0.0.1:${taken}`, `localhost:${taken}`];
  return {
    url: `http://127.0.0.1:${taken}/`,
    async close(): Promise<void> {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const named = (query: URLSearchParams): string[] =>
  (query.get('operations') ?? '').split(',').filter((name) => name !== '');

/** @returns the answer's status and body */
type Action = (request: IncomingMessage, query: URLSearchParams) => Promise<[number, object]>;

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof JobError && !error.retryable) return new Refusal(400, error.code, error.message);
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof JobError ? new Refusal(503, error.code, message) : new Refusal(500, 'INTERNAL', message);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = () => new Refusal(413, 'INPUT_TOO_LARGE', `expected at most ${MAX_BODY_BYTES} bytes`);
  if (Number(request.headers['content-length']) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

/** @param read what throws where it is given something else than an address */
function addressed<T>(read: () => T): T {
  try {
    return read();
  } catch {
    throw new Refusal(404, 'NOT_FOUND', 'expected an address');
  }
}

function answerJson(response: ServerResponse, status: number, body: unknown): void {
  const contentType = 'application/json; charset=utf-8';
  answer(response, status, { bytes: Buffer.from(JSON.stringify(body)), contentType }, 'no-store');
}

function answer(response: ServerResponse, status: number, { bytes, contentType }: Picture, caching: string): void {
  const headers = { 'content-type': contentType, 'content-length': bytes.length, 'cache-control': caching };
  response.writeHead(status, headers).end(response.req.method === 'HEAD' ? undefined : bytes);
}
