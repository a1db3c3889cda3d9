import { googleTokens, noTokens, STORAGE_ADMIN_SCOPES } from '../tokens.js';
import { connectAuthorized, SERVICE } from './authorized.js';
import type { HttpRequest } from './call.js';
import { refusalOf } from './refusal.js';

export interface StorageConnection {
  readonly projectId: string;
  /** Base address of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
}

/** The administration of buckets through Cloud Storage's JSON API. It needs no closing. */
export interface AdminApi {
  /** Owns new buckets. */
  readonly projectId: string;
  /**
   * @param path begins with `/b`
   * @returns the answer's JSON, which the caller knows the form of
   * @throws Refused; Unanswered
   */
  call<T>(method: HttpRequest['method'], path: string, body?: object): Promise<T>;
}

/** The service has refused. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Creating a bucket is slow. */
const LIMITS = { requestMs: 30_000, idleMs: 30_000, msPerByte: 0 };
/** Longest answer, in bytes: a bucket has 100 lifecycle rules and 100 notifications at most. */
const MAX_BYTES = 4 * 1024 ** 2;
const JSON_HEADERS = { 'content-type': 'application/json; charset=UTF-8' };

export function connectAdmin({ projectId, emulator }: StorageConnection): AdminApi {
  const tokens = emulator === undefined ? googleTokens(STORAGE_ADMIN_SCOPES) : noTokens;
  const http = connectAuthorized(emulator ?? SERVICE, tokens, LIMITS);
  const never = new AbortController().signal; // the limits end every call
  return {
    projectId,
    call<T>(method: HttpRequest['method'], path: string, body?: object): Promise<T> {
      const sent = body === undefined ? {} : { headers: JSON_HEADERS, body: [Buffer.from(JSON.stringify(body))] };
      return http.exchange({ method, path: `/storage/v1${path}`, ...sent }, never, async (answer) => {
        if (answer.status >= 300) {
          const { status, message } = await refusalOf(answer);
          throw new Refused(status, message);
        }
        return JSON.parse((await answer.body(MAX_BYTES))?.toString() ?? '') as T;
      });
    },
  };
}

/** HTTP status of a refusal; undefined if there was no answer. */
export function statusOf(thrown: unknown): number | undefined {
  return thrown instanceof Refused ? thrown.status : undefined;
}
