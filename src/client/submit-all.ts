/** Submits many pictures, and gives their outcomes as they come. */
import type { Completion } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { unless } from '../domain/signals.js';
import { recall } from '../records/recall.js';
import { ClientError } from './errors.js';
import type { Parts } from './parts.js';
import { createPolls, type Polls } from './polls.js';
import type { SubmitRequest } from './request.js';
import {
  checkFingerprint,
  prepareRequest,
  send,
  type Sent,
  type Submitted,
  submittedOf,
  type SubmitOptions,
} from './submit.js';
import { createTray } from './tray.js';

/** What became of one request. `request` is the caller's own object. */
export type Outcome<R extends SubmitRequest = SubmitRequest> =
  | { readonly kind: 'ended'; readonly request: R; readonly submitted: Submitted; readonly completion: Completion }
  /** Published, where `wait` is off. */
  | { readonly kind: 'submitted'; readonly request: R; readonly submitted: Submitted }
  /** Nothing was published: the request is wrong, its picture cannot be read, or its id is taken. */
  | { readonly kind: 'refused'; readonly request: R; readonly error: JobError | ClientError };

/** Counts so far. Each is a number of requests. */
export interface Progress {
  /** Taken from the caller. */
  readonly taken: number;
  /** Published by this call. */
  readonly published: number;
  /** Published or ended by an earlier call. */
  readonly before: number;
  readonly refused: number;
  readonly succeeded: number;
  /** Ended as failed, expired or canceled. */
  readonly failed: number;
}

export interface SubmitAllOptions<R extends SubmitRequest = SubmitRequest> extends Pick<SubmitOptions, 'republish'> {
  /**
   * Stops: no further request is taken, what is being published is finished, and the iteration ends with the signal's
   * reason. Submitting the same requests again goes on where it stopped.
   */
  readonly signal?: AbortSignal;
  /** Uploads at the same time, by default 16. */
  readonly uploads?: number;
  /** Jobs that are submitted and not yet taken from the iteration, by default 1,000. No more are read from the caller. */
  readonly window?: number;
  /** Whether to wait for the outcomes, by default true. */
  readonly wait?: boolean;
  /** Called when a request is published, or known to have been before: its outcome may be long in coming. It must not throw. */
  readonly onSubmitted?: (request: R, submitted: Submitted) => void;
  /** Called after every change. It must not throw. */
  readonly onProgress?: (progress: Progress) => void;
}

const UPLOADS = 16;
const WINDOW = 1_000;

/** Errors of one request. Any other error would meet the other requests as well, and ends the iteration. */
const OF_ONE: readonly string[] = [
  ...['INVALID_MESSAGE', 'INPUT_UNREADABLE', 'INPUT_EMPTY', 'INPUT_TOO_LARGE', 'UNSUPPORTED_FORMAT'],
  ...['JOB_ID_REUSED', 'RECORD_UNREADABLE'],
];

/**
 * Submits every request, and yields each outcome when it is there, in no order. The same requests again are resumed: what was
 * submitted is not submitted again, and what has ended is told at once.
 * @throws JobError `STORAGE_UNAVAILABLE`; ClientError of Pub/Sub; the signal's reason; whatever the iterable throws
 */
export async function* submitAll<R extends SubmitRequest>(
  parts: Parts,
  requests: AsyncIterable<R> | Iterable<R>,
  options: SubmitAllOptions<R> = {},
): AsyncGenerator<Outcome<R>, void, void> {
  const { uploads = UPLOADS, window = WINDOW } = options;
  const stop = new AbortController();
  const tray = createTray<Outcome<R>>(window);
  const work = parts.run(options.signal, async (outer) => {
    const halt = () => stop.abort(outer.reason);
    outer.addEventListener('abort', halt, { once: true });
    if (outer.aborted) halt();
    const { signal } = stop;
    const look = (jobId: string) => recall(parts.store, parts.settings.statePrefix, jobId, signal);
    const run = new Run<R>(parts, options, createPolls(look, signal), signal, {
      put: (outcome) => tray.put(outcome),
      fail: (error) => stop.abort(error),
    });
    const source = inTurn(requests);
    const lanes = Array.from({ length: uploads }, () => lane(run, source, tray.enter, stop));
    const ends = await Promise.allSettled(lanes);
    source.return();
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    await run.waits();
  });
  const done = work.then(
    () => tray.end(),
    (error: unknown) => tray.end(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    yield* tray.take();
  } finally {
    // The caller may have left early. What is being published is finished all the same.
    stop.abort(new ClientError('CLOSED', 'the iteration has ended'));
    tray.end();
    await done;
  }
}

/** Takes one request after the other until there are none, one fails for all, or it is stopped. */
async function lane<R extends SubmitRequest>(
  run: Run<R>,
  source: Source<R>,
  enter: (signal: AbortSignal) => Promise<() => void>,
  stop: AbortController,
): Promise<void> {
  const { signal } = stop;
  try {
    for (;;) {
      const leave = await enter(signal);
      const next = await unless(signal, source.next());
      if (next.done) {
        leave();
        return;
      }
      signal.throwIfAborted();
      await run.submit(next.value);
    }
  } catch (thrown) {
    if (!signal.aborted) stop.abort(thrown);
    throw thrown;
  }
}

/** The state of one call. */
class Run<R extends SubmitRequest> {
  readonly #counts = { taken: 0, published: 0, before: 0, refused: 0, succeeded: 0, failed: 0 };
  /** By job id. The same picture may be given twice. */
  readonly #sent = new Map<string, Promise<Sent>>();
  readonly #waits = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly parts: Parts,
    private readonly options: SubmitAllOptions<R>,
    private readonly polls: Polls,
    private readonly signal: AbortSignal,
    private readonly to: { readonly put: (outcome: Outcome<R>) => void; readonly fail: (error: unknown) => void },
  ) {}

  async submit(request: R): Promise<void> {
    this.#count('taken');
    try {
      const prepared = await prepareRequest(this.parts, request, this.signal);
      const { jobId } = prepared.message;
      const earlier = this.#sent.get(jobId);
      const sending = earlier ?? send(this.parts, prepared, this.options, this.signal);
      if (!earlier) this.#sent.set(jobId, sending);
      const sent = await sending;
      if (sent.fingerprint !== prepared.fingerprint) {
        throw new JobError('JOB_ID_REUSED', `the id ${jobId} is given twice, for different jobs`);
      }
      this.#count(sent.state === 'published' && !earlier ? 'published' : 'before');
      const submitted = submittedOf(prepared, sent);
      this.options.onSubmitted?.(request, submitted);
      this.#follow(request, submitted);
    } catch (thrown) {
      this.#refuse(request, thrown);
    }
  }

  /** @throws the error that ends the whole call */
  async waits(): Promise<void> {
    await Promise.all(this.#waits);
    if (this.#failure) throw this.#failure.error;
  }

  #follow(request: R, submitted: Submitted): void {
    const { completion, jobId, fingerprint } = submitted;
    if (completion) this.#end(request, submitted, completion);
    else if (this.options.wait === false) this.to.put({ kind: 'submitted', request, submitted });
    else {
      const wait = this.polls
        .wait(jobId)
        .then((record) => {
          checkFingerprint(jobId, fingerprint, record);
          this.#end(request, submitted, record.completion);
        })
        .catch((thrown: unknown) => {
          try {
            this.#refuse(request, thrown);
          } catch (error) {
            this.#failure ??= { error };
            this.to.fail(error);
          }
        })
        .finally(() => this.#waits.delete(wait));
      this.#waits.add(wait);
    }
  }

  #end(request: R, submitted: Submitted, completion: Completion): void {
    this.#count(completion.status === 'succeeded' ? 'succeeded' : 'failed');
    this.to.put({ kind: 'ended', request, submitted, completion });
  }

  /** @throws the error itself if it is not that of one request */
  #refuse(request: R, thrown: unknown): void {
    const known = thrown instanceof JobError || thrown instanceof ClientError;
    if (!known || !OF_ONE.includes(thrown.code)) throw thrown;
    this.#count('refused');
    this.to.put({ kind: 'refused', request, error: thrown });
  }

  #count(what: keyof Progress): void {
    this.#counts[what]++;
    this.options.onProgress?.({ ...this.#counts });
  }
}

interface Source<R> {
  next(): Promise<IteratorResult<R, unknown>>;
  /** Tells the iterator that no more is wanted, and does not wait for it. */
  return(): void;
}

/** An iterator for several callers: one is asked for after the other. */
function inTurn<R>(requests: AsyncIterable<R> | Iterable<R>): Source<R> {
  const iterator = Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  let last: Promise<unknown> = Promise.resolve();
  let done = false;
  return {
    next() {
      const next = last.then(async () => {
        if (done) return { done: true as const, value: undefined };
        const result = await iterator.next();
        done = result.done === true;
        return result;
      });
      last = next.catch(() => (done = true));
      return next;
    },
    return() {
      if (done) return;
      done = true;
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
    },
  };
}
