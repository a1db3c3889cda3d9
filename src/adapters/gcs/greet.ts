import { noTokens } from '../tokens.js';
import type { StorageConnection } from './admin-api.js';
import { connectAuthorized, SERVICE } from './authorized.js';

/** What the service answers to a request without credentials. */
export interface Greeting {
  /** 404 if it is no Cloud Storage: the service itself answers 200 or refuses the caller. */
  readonly status: number;
  /** The header `Date`. */
  readonly date: string | undefined;
  /** By this machine's clock, in milliseconds. */
  readonly sentAt: number;
  readonly answeredAt: number;
}

/**
 * Asks for the list of buckets, without credentials.
 * @param limitMs time limit, in milliseconds
 * @throws Unanswered; the signal's reason
 */
export function greetStorage(
  { projectId, emulator }: StorageConnection,
  limitMs: number,
  signal: AbortSignal,
): Promise<Greeting> {
  const limits = { requestMs: limitMs, idleMs: limitMs, msPerByte: 0 };
  const path = `/storage/v1/b?project=${encodeURIComponent(projectId)}&maxResults=1`;
  const sentAt = Date.now();
  const http = connectAuthorized(emulator ?? SERVICE, noTokens, limits);
  return http.exchange({ method: 'GET', path }, signal, (answer) =>
    Promise.resolve({ status: answer.status, date: answer.header('date'), sentAt, answeredAt: Date.now() }),
  );
}
