import { setTimeout as sleep } from 'node:timers/promises';
import type { Capacity } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import type { Size } from '../domain/raster.js';
import type { Cost } from '../pipeline/cost.js';
import { backoffMs, type RetryLimits, withRetries } from '../pipeline/retry.js';
import type { RequestScheduler, PlannedRequest, Turn } from '../pipeline/transform.js';
import { mostInRun, type Run, VersionQueue } from './version-queue.js';

/**
 * Shares each model version's requests in flight among the jobs of this worker. A picture of a thousand tiles then delays a
 * thumbnail by a batch or two instead of a thousand tiles. Versions do not wait for each other: each has its own instances
 * and queue.
 */
export interface FairShare {
  /**
   * Creates the scheduler of one job's requests. They keep their order and take turns with those of other jobs. A failed
   * task is retried according to its error:
   * - While its model is down, the task retries in place and counts as in flight, so that a server in trouble gets no
   *   additional requests. It does not hold up a run. When one task gives up because its model is away, all tasks that wait
   *   for the model give up.
   * - A request that a full queue refused waits for another turn, as long as the queue accepts others.
   * - If the model ran out of memory, the request is retried once alone, since its batch may have been too large.
   * - If the inference failed, the request is retried in ever smaller groups: a model that raises for one picture fails its
   *   whole batch. The last attempt runs alone and fills a batch by itself, so that no other worker's request can join.
   * @param patient false for a job that does not wait in place while its model is away
   */
  scheduler(job: object, patient?: boolean): RequestScheduler;
  /** The current requests of every version used so far. */
  load(): readonly Load[];
}

export interface Load {
  readonly model: string;
  readonly version: string;
  /** Requests sent and not answered, or waiting for a retry in place. */
  readonly inFlight: number;
  /** How many may be in flight now. */
  readonly limit: number;
  /** Requests not sent yet. */
  readonly waiting: number;
}

export interface FairShareOptions {
  /** Capacity of a model. Called at every turn, since a reload may change it. */
  readonly capacityOf: (model: string) => Capacity;
  /** Current cost of one execution. */
  readonly costOf: (model: string, version: string) => Cost;
  readonly retry: RetryLimits;
}

/** How long a job with computed requests waits for a queue that accepts nothing, in milliseconds. */
const KEEP_COMPUTED_MS = 600_000;

/**
 * Minimum attempts for a request that may share a batch: one with others and one without, to tell which request is at fault.
 */
const ATTEMPTS_TO_TELL = 2;

/** Result of one turn. */
type TurnResult<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** The queue was full. */
  | { readonly kind: 'refused'; readonly error: JobError }
  /** The inference failed, perhaps because of another request of its batch. */
  | { readonly kind: 'failed'; readonly error: JobError };

export function createFairShare({ capacityOf, costOf, retry }: FairShareOptions): FairShare {
  const queues = new Map<string, Map<string, VersionQueue>>();

  function queueOf({ model, version }: Pick<PlannedRequest, 'model' | 'version'>): VersionQueue {
    const ofModel = queues.get(model) ?? new Map<string, VersionQueue>();
    queues.set(model, ofModel);
    const options = { model, version, capacity: () => capacityOf(model), cost: () => costOf(model, version) };
    const queue = ofModel.get(version) ?? new VersionQueue(options);
    ofModel.set(version, queue);
    return queue;
  }

  return {
    scheduler(job, patient = true) {
      const limits = patient ? retry : { ...retry, unavailableMs: 0 };
      /** Whether a request of the job was answered. Giving up would then discard work. */
      let computed = false;
      return async <T>(
        request: PlannedRequest,
        task: (window: Size, turn: Turn) => Promise<T>,
        signal: AbortSignal,
      ): Promise<T> => {
        const queue = queueOf(request);
        let failures = 0;
        let outOfMemory = false;
        let refusedAt: number | undefined;
        for (;;) {
          const batch = mostInRun(request, queue.capacity());
          const turn: Attempt = outOfMemory ? ALONE : turnAfter(failures, batch, retry.failedAttempts);
          const run: Run = turn.apart
            ? await queue.acquireApart(request, turn.together, signal)
            : await queue.acquire(job, request, signal);
          const result: TurnResult<T> = await takeTurn(queue, run, () => task(run.window, turn), limits, signal);
          switch (result.kind) {
            case 'answered':
              computed = true;
              return result.value;
            case 'refused': {
              refusedAt ??= performance.now();
              // A full queue is not an outage: even an impatient job waits for another turn.
              const patience = computed && patient ? KEEP_COMPUTED_MS : retry.unavailableMs;
              if (performance.now() - Math.max(refusedAt, queue.answeredAt) >= patience) throw result.error;
              break;
            }
            case 'failed':
              failures++;
              outOfMemory = result.error.outOfMemory;
              // Without others in its batch, the request has already had all available memory.
              if (turn.last || (outOfMemory && (turn.apart || !turn.shared))) throw result.error;
              // Requests that share a batch must meet again, so they retry at once.
              if (!turn.shared) await sleep(backoffMs(failures, retry.maxDelayMs), undefined, { signal });
          }
        }
      };
    },
    load: () =>
      [...queues.values()].flatMap((ofModel) =>
        [...ofModel.values()].map((queue) => ({
          ...{ model: queue.model, version: queue.version, inFlight: queue.inFlight, limit: queue.capacity().inFlight },
          waiting: queue.waiting,
        })),
      ),
  };
}

interface Attempt extends Turn {
  /** Most requests of this kind that may be in flight together, including this one. */
  readonly together: number;
  readonly last: boolean;
  /** Other requests may be in its batch, or could have been in the batch of the first attempt. */
  readonly shared: boolean;
}

/** Turn after an out-of-memory error. Copies that fill the batch would need even more memory. */
const ALONE: Attempt = { apart: true, copies: 1, together: 1, last: false, shared: true };

/**
 * How to send a request after that many failures.
 * @param batch requests that may share a batch, including this one; if one, every attempt runs alone
 */
function turnAfter(failures: number, batch: number, attempts: number): Attempt {
  const shared = batch > 1;
  const together = Math.max(1, Math.floor(batch / 2 ** failures));
  const last = together === 1 && failures + 1 >= Math.max(attempts, shared ? ATTEMPTS_TO_TELL : 1);
  return { apart: shared && failures > 0, copies: shared && last ? batch : 1, together, last, shared };
}

/**
 * Runs one request in its run, with retries in place while its model is down.
 * @throws any error that is neither a refusal nor a failed inference
 */
async function takeTurn<T>(
  queue: VersionQueue,
  run: Run,
  task: () => Promise<T>,
  retry: RetryLimits,
  signal: AbortSignal,
): Promise<TurnResult<T>> {
  const begunAt = performance.now();
  let inside = true;
  const leaveRun = () => {
    if (inside) queue.leaveRun(run);
    inside = false;
  };
  const attempt = async (): Promise<TurnResult<T>> => {
    const sentAt = performance.now();
    const full = queue.inFlight >= queue.capacity().inFlight;
    try {
      const value = await task();
      queue.limit.answered(sentAt, full);
      queue.answeredAt = performance.now();
      return { kind: 'answered', value };
    } catch (error) {
      if (error instanceof JobError && error.code === 'MODEL_OVERLOADED') {
        queue.limit.refused(sentAt, queue.inFlight);
        return { kind: 'refused', error };
      }
      const apart = error instanceof JobError && (error.verdict === 'retry-then-fail' || error.outOfMemory);
      if (apart) return { kind: 'failed', error };
      leaveRun();
      queue.startAll();
      throw error;
    }
  };
  try {
    return await withRetries(attempt, retry, signal);
  } catch (error) {
    // If nothing was answered in the meantime, the requests behind this one would each wait as long again, so refuse them
    // too.
    // A suspect one has not waited at all: another replica may be well.
    const isAway = error instanceof JobError && error.code === 'MODEL_UNAVAILABLE' && !error.costsAttempt;
    if (isAway && queue.answeredAt < begunAt) queue.refuseAll(error);
    throw error;
  } finally {
    leaveRun();
    queue.leave();
  }
}
