import type { Credentials, Tokens } from '../tokens.js';
import { within } from '../within.js';
import { type HttpLimits, Unanswered } from './call.js';
import { createHttp, type Http } from './http.js';

/** The base address of Google's service. */
export const SERVICE = 'https://storage.googleapis.com';

/**
 * Requests with credentials. Without credentials there is no answer (Unanswered): to have none says nothing about rights.
 * @param base scheme, host and port, with an optional path before the API's own paths
 */
export function connectAuthorized(base: string, tokens: Tokens, limits: HttpLimits): Http {
  const { origin, pathname } = new URL(base);
  const prefix = pathname.replace(/\/+$/, '');
  const http = createHttp(origin, limits);

  async function credentials(signal: AbortSignal): Promise<Credentials> {
    const held = tokens.held();
    if (held) return held;
    try {
      return await within(limits.requestMs, 'credentials', () => tokens.fresh(), signal);
    } catch (thrown) {
      signal.throwIfAborted();
      throw new Unanswered(`no credentials: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }

  return {
    async exchange(request, signal, take) {
      const { headers, forget } = await credentials(signal);
      const whole = { ...request, path: `${prefix}${request.path}`, headers: { ...headers, ...request.headers } };
      return http.exchange(whole, signal, (answer) => {
        if (answer.status === 401) forget();
        return take(answer);
      });
    },
  };
}
