import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

export interface HttpLimits {
  /** Time limit for the headers of an answer, including the connection, in milliseconds. */
  readonly requestMs: number;
  /** Longest pause between two chunks of an answer, in milliseconds. */
  readonly idleMs: number;
  /** Time added to `requestMs` for each byte sent or received, in milliseconds. */
  readonly msPerByte: number;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as one body. */
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
   * Reads the body; call it at most once.
   * @returns undefined as soon as it is known to exceed `maxBytes`
   * @throws Unanswered
   */
  body(maxBytes: number): Promise<Buffer | undefined>;
}

/** No answer arrived, or only part of one. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

/** A body up to this size is copied into one buffer, which costs less than a stream. */
const COPIED_BYTES = 1024 * 1024;
/** Bytes of an answer that are kept before anybody has asked for its body. Then the connection pauses. */
const EARLY_BYTES = 256 * 1024;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One request and its answer. undici calls the `on…` methods. They replace the streams and signals of `undici.request`, which
 * cost three times the processor time of a small request.
 */
export class Call implements Dispatcher.DispatchHandlers {
  readonly #bytes: number;
  readonly #chunks: Buffer[] = [];
  #received = 0;
  #maxBytes = EARLY_BYTES;
  #isWhole = false;
  /** Why there is no more of the answer. */
  #end: Error | undefined;
  #headers: Waiting<Answer> | undefined;
  #body: Waiting<Buffer | undefined> | undefined;
  #abort: (() => void) | undefined;
  #resume: (() => void) | undefined;

  constructor(
    private readonly request: HttpRequest,
    private readonly limits: HttpLimits,
  ) {
    this.#bytes = (request.body ?? []).reduce((sum, { length }) => sum + length, 0);
  }

  /** @throws Unanswered without headers in time; the reason for which the call was given up */
  send(dispatcher: Dispatcher): Promise<Answer> {
    const { method, path, headers: sent = {}, body } = this.request;
    const headers = body ? { ...sent, 'content-length': String(this.#bytes) } : sent;
    return new Promise((resolve, reject) => {
      this.#headers = { resolve, reject, timer: this.#limit('headers', this.#bytes) };
      dispatcher.dispatch({ method, path, headers, body: body ? joined(body, this.#bytes) : null }, this);
    });
  }

  /** Ends the call. Pending waits reject with the reason. */
  giveUp(reason: Error): void {
    this.#end ??= reason;
    this.#headers?.reject(this.#end);
    this.#body?.reject(this.#end);
    this.#settled();
    this.#abort?.();
  }

  /** Closes the connection unless the whole answer has been received. */
  drop(): void {
    if (!this.#isWhole) this.giveUp(new Unanswered('the answer was not wanted'));
  }

  onConnect(abort: () => void): void {
    this.#abort = abort;
    if (this.#end) abort();
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (status < 200) return true; // an interim answer
    this.#resume = resume;
    const headers = this.#headers;
    const all = headersOf(raw);
    this.#settled();
    headers?.resolve({ status, header: (name) => all.get(name), body: (maxBytes) => this.#read(all, maxBytes) });
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#received += chunk.length;
    this.#chunks.push(chunk);
    if (this.#received <= this.#maxBytes) return true;
    this.#tooLarge();
    return false;
  }

  onComplete(): void {
    this.#isWhole = true;
    this.#finish();
  }

  onError(cause: Error): void {
    const what = this.#headers ? 'headers' : 'body';
    this.giveUp(new Unanswered(`${what}: ${describe(cause, this.limits.idleMs)}`));
  }

  #read(headers: ReadonlyMap<string, string>, maxBytes: number): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#end) {
        reject(this.#end);
        return;
      }
      const expected = Math.min(Number(headers.get('content-length') ?? maxBytes), maxBytes);
      this.#body = { resolve, reject, timer: this.#limit('body', expected) };
      this.#maxBytes = maxBytes;
      if (this.#received > maxBytes) this.#tooLarge();
      else if (this.#isWhole) this.#finish();
      else this.#resume?.();
    });
  }

  #tooLarge(): void {
    this.#body?.resolve(undefined);
    this.#settled();
  }

  #finish(): void {
    const [first, ...others] = this.#chunks;
    const whole = first && others.length === 0 ? first : Buffer.concat(this.#chunks, this.#received);
    this.#body?.resolve(whole);
    if (this.#body) this.#settled();
  }

  /** Nobody waits for this phase any more. */
  #settled(): void {
    clearTimeout(this.#headers?.timer);
    clearTimeout(this.#body?.timer);
    this.#headers = undefined;
    this.#body = undefined;
  }

  #limit(what: string, bytes: number): NodeJS.Timeout {
    const limitMs = Math.round(this.limits.requestMs + bytes * this.limits.msPerByte);
    return setTimeout(() => this.giveUp(new Unanswered(`${what}: no answer within ${limitMs} ms`)), limitMs);
  }
}

function joined(body: readonly Buffer[], bytes: number): Buffer | Readable {
  return bytes <= COPIED_BYTES ? Buffer.concat(body, bytes) : Readable.from(body);
}

function headersOf(raw: readonly Buffer[]): ReadonlyMap<string, string> {
  const all = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name, value] = [String(raw[i]).toLowerCase(), String(raw[i + 1])];
    const before = all.get(name);
    all.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return all;
}

/** A refused connection to a name with several addresses has a code but no message. */
function describe(cause: unknown, idleMs: number): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  if (code === 'UND_ERR_BODY_TIMEOUT') return `no byte for ${idleMs} ms`;
  return ([message, code].find((one) => typeof one === 'string' && one !== '') as string | undefined) ?? String(cause);
}
