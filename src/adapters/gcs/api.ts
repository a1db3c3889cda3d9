import type { ObjectRef } from '../../domain/uri.js';
import { within } from '../within.js';
import { bucketMissing, type Doing, refused, unavailable } from './errors.js';
import { type Answer, createHttp, type HttpLimits, type HttpRequest, Unanswered } from './http.js';
import { namesBucket, namesObject, type Refusal, refusalOf } from './refusal.js';
import type { Credentials, Tokens } from './tokens.js';

/** Requests to the JSON API of one storage service. */
export interface Api {
  /**
   * @throws JobError `STORAGE_UNAVAILABLE` without credentials or a whole answer; the signal's reason; what `take` throws
   */
  send<T>(doing: Doing, request: HttpRequest, signal: AbortSignal, take: (answer: Answer) => Promise<T>): Promise<T>;
  /**
   * Makes sure that a 404 speaks of the object, and not of its bucket or of a proxy that does not know storage.
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  confirmMissing(doing: Doing, refusal: Refusal, signal: AbortSignal): Promise<void>;
}

/** How long a bucket that was found is taken to be there. Only an emulator leaves open what its 404 is about. */
const BUCKET_KNOWN_MS = 10_000;

/** @param base scheme, host and port, and a path that the API's own begin with, if any */
export function connectApi(base: string, tokens: Tokens, limits: HttpLimits): Api {
  const { origin, pathname } = new URL(base);
  const prefix = pathname.replace(/\/+$/, '');
  const http = createHttp(origin, limits);
  /** Buckets that are permitted, and so few, with the time until which they are taken to be there. */
  const known = new Map<string, number>();

  async function credentials(doing: Doing, signal: AbortSignal): Promise<Credentials> {
    try {
      return await within(limits.requestMs, 'credentials', () => tokens.current(), signal);
    } catch (thrown) {
      signal.throwIfAborted();
      throw unavailable(doing, `no credentials: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }

  const send: Api['send'] = async (doing, request, signal, take) => {
    const { headers, forget } = await credentials(doing, signal);
    const whole = { ...request, path: `${prefix}${request.path}`, headers: { ...headers, ...request.headers } };
    try {
      return await http.exchange(whole, signal, (answer) => {
        if (answer.status === 401) forget();
        return take(answer);
      });
    } catch (thrown) {
      throw thrown instanceof Unanswered ? unavailable(doing, thrown.message) : thrown;
    }
  };

  async function confirmMissing(doing: Doing, refusal: Refusal, signal: AbortSignal): Promise<void> {
    const { bucket } = doing.ref;
    if (namesObject(refusal)) return;
    if (namesBucket(refusal)) throw bucketMissing(doing, refusal.message);
    if ((known.get(bucket) ?? 0) > performance.now()) return;
    const path = `/storage/v1/b/${bucket}/o?maxResults=1&fields=kind`;
    const answer = await send(doing, { method: 'GET', path }, signal, refusalOf);
    if (answer.status === 404) throw bucketMissing(doing, answer.message);
    // Who may not list is told that the bucket is there.
    if (![200, 401, 403].includes(answer.status)) throw refused(doing, answer);
    known.set(bucket, performance.now() + BUCKET_KNOWN_MS);
  }

  return { send, confirmMissing };
}

/** Path of an object's resource. */
export function pathOf({ bucket, name }: ObjectRef): string {
  return `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
}
