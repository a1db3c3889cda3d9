import { setTimeout as sleep } from 'node:timers/promises';
import type { Capacity } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import type { Size } from '../domain/raster.js';
import type { Cost } from '../pipeline/cost.js';
import { backoffMs, type RetryLimits, withRetries } from '../pipeline/retry.js';
import type { RequestScheduler, PlannedRequest, Turn } from '../pipeline/transform.js';
import { mostInRun, type Run, VersionQueue } from './version-queue.js';

/**
 * Shares the requests in flight of each version of a model among the jobs of this worker, so that a picture of a thousand
 * tiles delays a thumbnail by a batch or two and not by a thousand tiles. Versions, which have instances and a queue each,
 * do not wait for each other.
 */
export interface FairShare {
  /**
   * The scheduler of one job's requests; they keep their order, and take turns with those of other jobs. A task that fails is run
   * again as its error permits:
   * - While its model is down it waits in place and counts as in flight, so that a server in trouble is not asked by more
   *   and more, but holds up no run. When one gives up because its model is away, all that wait for the model do.
   * - One that a full queue refused waits for another turn, for as long as the queue takes others.
   * - One for which the model had not enough memory is tried once more apart, where its batch may be what was too much.
   * - One whose inference failed is tried again in ever smaller groups: a model that raises for one picture of a batch has
   *   failed them all. The last attempt is made alone and fills a batch by itself, which no other worker can join.
   * @param patient false for a job that does not wait in place while its model is away
   */
  scheduler(job: object, patient?: boolean): RequestScheduler;
  /** Of every version that was ever asked: its requests now. */
  load(): readonly Load[];
}

export interface Load {
  readonly model: string;
  readonly version: string;
  /** Sent and not answered, or waiting to be tried again. */
  readonly inFlight: number;
  /** How many may be in flight now. */
  readonly limit: number;
  /** Not sent yet. */
  readonly waiting: number;
}

export interface FairShareOptions {
  /** Of a model; asked anew at every turn, since a reload may change it. */
  readonly capacityOf: (model: string) => Capacity;
  /** Of an execution, as known now. */
  readonly costOf: (model: string, version: string) => Cost;
  readonly retry: RetryLimits;
}

/** How long a job whose first requests have been computed waits for a queue that takes nothing, in milliseconds. */
const KEEP_COMPUTED_MS = 600_000;

/** A request that may share a batch has at least two: one beside others, and one without them, to tell whose the fault is. */
const ATTEMPTS_TO_TELL = 2;

/** What has come of one turn. */
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
      /** Whether a request of the job was answered: then giving up would throw work away. */
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
              // A full queue is not away: who finds one waits for another turn, patient or not.
              const patience = computed && patient ? KEEP_COMPUTED_MS : retry.unavailableMs;
              if (performance.now() - Math.max(refusedAt, queue.answeredAt) >= patience) throw result.error;
              break;
            }
            case 'failed':
              failures++;
              outOfMemory = result.error.outOfMemory;
              // Without others in its batch, it has had all the memory that it could have.
              if (turn.last || (outOfMemory && (turn.apart || !turn.shared))) throw result.error;
              // Those that share a batch find each other again at once.
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
  /** In flight with so many others like it, itself included. */
  readonly together: number;
  readonly last: boolean;
  /** Others may be in its batch, or might have been in the first attempt's. */
  readonly shared: boolean;
}

/** After a lack of memory: copies to fill the batch would only need more of it. */
const ALONE: Attempt = { apart: true, copies: 1, together: 1, last: false, shared: true };

/**
 * How a request is sent after so many failures.
 * @param batch requests that may share a batch with it, itself included; where that is one, every attempt is its own
 */
function turnAfter(failures: number, batch: number, attempts: number): Attempt {
  const shared = batch > 1;
  const together = Math.max(1, Math.floor(batch / 2 ** failures));
  const last = together === 1 && failures + 1 >= Math.max(attempts, shared ? ATTEMPTS_TO_TELL : 1);
  return { apart: shared && failures > 0, copies: shared && last ? batch : 1, together, last, shared };
}

const needsOf = ({ needs }: JobError) => (needs ? { needs } : {});

/** One request in its run, tried again in place while its model is down. @throws what is neither refusal nor failure */
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
    // Where nobody was answered meanwhile, who waits behind it would wait as long again, each in his turn.
    const away = error instanceof JobError && error.code === 'MODEL_UNAVAILABLE' && queue.answeredAt < begunAt;
    // They were never sent: what may be this job's own doing is not theirs.
    if (away) queue.refuseAll(new JobError(error.code, error.message, { cause: error, ...needsOf(error) }));
    throw error;
  } finally {
    leaveRun();
    queue.leave();
  }
}
