import { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { NoAnswer, within } from '../within.js';

export interface HttpLimits {
  /** Time limit for the headers of an answer, including the connection, in milliseconds. */
  readonly requestMs: number;
  /** Longest pause between two chunks of an answer, in milliseconds. */
  readonly idleMs: number;
  /** Time added to `requestMs` for each byte sent or received, in milliseconds. */
  readonly msPerByte: number;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as one body, without concatenating the buffers. */
  readonly body?: readonly Buffer[];
}

export interface Answer {
  readonly status: number;
  /**
   * @param name in lower case
   * @returns values of a repeated header joined by `, `
   */
  header(name: string): string | undefined;
  /**
   * Reads the body.
   * @returns undefined as soon as it is known to exceed `maxBytes`
   * @throws Unanswered
   */
  body(maxBytes: number): Promise<Buffer | undefined>;
}

/** No answer arrived, or only part of one. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

export interface Http {
  /**
   * Sends one request and passes its answer to `take`. If `take` does not read the whole body, the rest and the connection
   * are dropped. Other requests are not affected.
   * @throws Unanswered; the signal's reason when it fires; errors of `take`
   */
  exchange<T>(request: HttpRequest, signal: AbortSignal, take: (answer: Answer) => Promise<T>): Promise<T>;
}

/** Idle connections close after this time. Google's front ends keep them for four minutes. */
const KEEP_ALIVE_MS = 60_000;

/** @param origin scheme, host and port */
export function createHttp(origin: string, limits: HttpLimits): Http {
  const { requestMs, idleMs, msPerByte } = limits;
  // The pool has as many connections as requests, so no request waits for another. `reach` limits the wait for the headers,
  // since it starts before there is a connection.
  const open = () =>
    new Pool(origin, {
      ...{ connect: { timeout: requestMs }, headersTimeout: 0, bodyTimeout: idleMs },
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
  let pool = open();

  /** If a request failed without an answer, other idle connections may be dead too. Requests in flight continue. */
  function recycle(failed: Pool): void {
    if (pool !== failed) return;
    pool = open();
    // Closes idle connections at once, and each other connection when its request has ended.
    failed.close().catch(() => undefined);
  }

  async function reach<T>(what: string, limitMs: number, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    try {
      return await within(limitMs, what, call, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new Unanswered(cause instanceof NoAnswer ? cause.message : `${what}: ${describe(cause, idleMs)}`);
    }
  }

  async function exchange<T>(
    request: HttpRequest,
    signal: AbortSignal,
    take: (answer: Answer) => Promise<T>,
  ): Promise<T> {
    const used = pool;
    const ending = new AbortController();
    const { method, path, headers: sent = {}, body } = request;
    const bytes = lengthOf(body);
    let response: Dispatcher.ResponseData | undefined;
    try {
      response = await reach('headers', requestMs + bytes * msPerByte, signal, () =>
        used.request({
          ...{ method, path, signal: ending.signal },
          headers: body ? { ...sent, 'content-length': String(bytes) } : sent,
          body: body ? Readable.from(body) : null,
        }),
      );
      const { statusCode, headers, body: stream } = response;
      const header = (name: string) => [headers[name]].flat().filter(isText).join(', ') || undefined;
      return await take({
        ...{ status: statusCode, header },
        body(maxBytes) {
          const expected = Math.min(Number(header('content-length') ?? maxBytes), maxBytes);
          return reach('body', requestMs + expected * msPerByte, signal, () => collect(stream, maxBytes));
        },
      });
    } catch (thrown) {
      ending.abort();
      if (thrown instanceof Unanswered) recycle(used);
      throw thrown;
    } finally {
      if (response && !response.body.readableEnded) response.body.on('error', () => undefined).destroy();
    }
  }

  return { exchange };
}

async function collect(stream: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function lengthOf(body: readonly Buffer[] = []): number {
  return body.reduce((sum, { length }) => sum + length, 0);
}

function isText(value: string | undefined): value is string {
  return value !== undefined;
}

/** A refused connection to a name with several addresses has a code but no message. */
function describe(cause: unknown, idleMs: number): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  if (code === 'UND_ERR_BODY_TIMEOUT') return `no byte for ${idleMs} ms`;
  return ([message, code].find((one) => typeof one === 'string' && one !== '') as string | undefined) ?? String(cause);
}
