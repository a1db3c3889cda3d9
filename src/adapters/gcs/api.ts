import type { ObjectRef } from '../../domain/uri.js';
import { connectAuthorized } from './authorized.js';
import { bucketMissing, type Doing, refused, unavailable } from './errors.js';
import { type Answer, type HttpLimits, type HttpRequest, Unanswered } from './call.js';
import { namesBucket, namesObject, type Refusal, refusalOf } from './refusal.js';
import type { Tokens } from '../tokens.js';

/** Sends requests to the JSON API of one storage service. */
export interface Api {
  /** @throws JobError `STORAGE_UNAVAILABLE` without credentials or a whole answer; the signal's reason; errors of `take` */
  send<T>(doing: Doing, request: HttpRequest, signal: AbortSignal, take: (answer: Answer) => Promise<T>): Promise<T>;
  /**
   * Checks that a 404 is about the object, and does not come from a missing bucket or a proxy in front of storage.
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  confirmMissing(doing: Doing, refusal: Refusal, signal: AbortSignal): Promise<void>;
}

/** How long a found bucket is assumed to exist, in milliseconds. Only an emulator's 404 does not say what is missing. */
const BUCKET_KNOWN_MS = 10_000;

/** @param base scheme, host and port, with an optional path before the API's own paths */
export function connectApi(base: string, tokens: Tokens, limits: HttpLimits): Api {
  const authorized = connectAuthorized(base, tokens, limits);
  /** Permitted buckets, and so few, with the time until which each is assumed to exist. */
  const known = new Map<string, number>();

  const send: Api['send'] = async (doing, request, signal, take) => {
    try {
      return await authorized.exchange(request, signal, take);
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
    // A 401 or 403 to the list request also shows that the bucket exists.
    if (![200, 401, 403].includes(answer.status)) throw refused(doing, answer);
    known.set(bucket, performance.now() + BUCKET_KNOWN_MS);
  }

  return { send, confirmMissing };
}

/** Path of an object's resource in the JSON API. */
export function pathOf({ bucket, name }: ObjectRef): string {
  return `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
}
