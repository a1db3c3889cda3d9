import { Pool } from 'undici';
import { onAbort } from '../abort.js';
import { type Answer, Call, type HttpLimits, type HttpRequest, Unanswered } from './call.js';

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
  const { requestMs, idleMs } = limits;
  // The pool has as many connections as requests, so no request waits for another. The call limits the wait for the headers,
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

  async function exchange<T>(
    request: HttpRequest,
    signal: AbortSignal,
    take: (answer: Answer) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const used = pool;
    const call = new Call(request, limits);
    const stopListening = onAbort(signal, () => call.giveUp(signal.reason as Error));
    try {
      return await take(await call.send(used));
    } catch (thrown) {
      if (thrown instanceof Unanswered) recycle(used);
      throw thrown;
    } finally {
      stopListening();
      call.drop();
    }
  }

  return { exchange };
}
