import { setTimeout as sleep } from 'node:timers/promises';
import type { Capacity } from '../domain/capacity.js';
import { JobError } from '../domain/errors.js';
import type { Size } from '../domain/raster.js';
import type { Cost } from '../pipeline/cost.js';
import { type RetryLimits, withRetries } from '../pipeline/retry.js';
import type { RequestScheduler, PlannedRequest, Turn } from '../pipeline/transform.js';
import { type Again, type Sending, type Failure, Tries } from './tries.js';
import { mostInRun, type Run } from './next-run.js';
import { VersionQueue } from './version-queue.js';
import type { Sent, AnswerHistory } from './answer-history.js';

/**
 * Shares each model version's requests in flight among the tenants of this worker, and each tenant's among its jobs. A
 * picture of a thousand tiles then delays a thumbnail by a batch or two instead of a thousand tiles. Versions do not wait
 * for each other: each has its own instances and queue.
 */
export interface FairShare {
  /**
   * Creates the scheduler of one job's requests. They keep their order and take turns with those of other jobs. A failed
   * task is retried according to its error:
   * - While its model is down, the task retries in place and counts as in flight, so that a server in trouble gets no
   *   additional requests. It does not hold up a run. When one task gives up because its model is away, all tasks that wait
   *   for the model give up.
   * - A request that a full queue refused waits for another turn, as long as the queue accepts others.
   * - If the model ran out of memory, the request is retried alone, since its batch may have been too large. If it runs out
   *   twice while it is the only request of this worker, the error costs an attempt.
   * - If no answer came, the request goes apart with a full batch of copies, since it may have hung the model or ended the
   *   server. If that happens again although the version has answered others in between, the error costs an attempt.
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

/** Requests of this worker that are at Triton now, of all versions, and how many were ever sent. */
interface InFlight {
  now: number;
  sent: number;
}

/** One job's requests. */
interface Sender {
  readonly job: object;
  readonly patient: boolean;
  /** Whether a request of the job was answered. Giving up would then discard work. */
  computed: boolean;
}

interface Answered<T> {
  readonly kind: 'answered';
  readonly value: T;
}

/** Whose turn it is, and what it is like. */
interface TurnOf {
  readonly tries: Tries;
  readonly turn: Sending;
  readonly sender: Sender;
  readonly inFlight: InFlight;
}

export function createFairShare({ capacityOf, costOf, retry }: FairShareOptions): FairShare {
  const queues = new Map<string, Map<string, VersionQueue>>();
  const inFlight: InFlight = { now: 0, sent: 0 };

  function queueOf({ model, version }: Pick<PlannedRequest, 'model' | 'version'>): VersionQueue {
    const ofModel = queues.get(model) ?? new Map<string, VersionQueue>();
    queues.set(model, ofModel);
    const options = { model, version, capacity: () => capacityOf(model), cost: () => costOf(model, version) };
    const queue = ofModel.get(version) ?? new VersionQueue(options);
    ofModel.set(version, queue);
    return queue;
  }

  /** Sends one request, again and again while its errors permit that. */
  async function send<T>(
    queue: VersionQueue,
    sender: Sender,
    request: PlannedRequest,
    task: (window: Size, turn: Turn) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const limits = sender.patient ? retry : { ...retry, unavailableMs: 0 };
    const tries = new Tries(retry, request.suspectSince);
    try {
      for (;;) {
        const turn = tries.next(mostInRun(request, queue.capacity()));
        const run: Run = turn.apart
          ? await queue.acquireApart(request, turn.together, signal)
          : await queue.acquire(sender.job, request, signal);
        const turnOf = { tries, turn, sender, inFlight };
        const result = await takeTurn(queue, run, turnOf, (how) => task(run.window, how), limits, signal);
        if (result.kind === 'answered') return result.value;
        if (result.pauseMs > 0) await sleep(result.pauseMs, undefined, { signal });
      }
    } catch (error) {
      throw tries.ending(error);
    }
  }

  return {
    scheduler(job, patient = true) {
      const sender: Sender = { job, patient, computed: false };
      return (request, task, signal) => send(queueOf(request), sender, request, task, signal);
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

/**
 * Runs one request in its run, with retries in place while its model is down.
 * @returns the answer, or that the request may have another turn
 * @throws any error that ends the request
 */
async function takeTurn<T>(
  queue: VersionQueue,
  run: Run,
  { tries, turn, sender, inFlight }: TurnOf,
  task: (turn: Turn) => Promise<T>,
  retry: RetryLimits,
  signal: AbortSignal,
): Promise<Answered<T> | Again> {
  const begunAt = performance.now();
  let inside = true;
  const leaveRun = () => {
    if (inside) queue.leaveRun(run);
    inside = false;
  };
  const attempt = async (): Promise<Answered<T> | Failure> => {
    let sent = queue.history.sending();
    const full = queue.inFlight >= queue.capacity().inFlight;
    const number = ++inFlight.sent;
    const first = inFlight.now++ === 0;
    try {
      if (tries.needsProbe(sent)) {
        await probe(queue.history, () => task({ ...turn, probe: true }));
        sent = queue.history.sending();
      }
      const value = await task(turn);
      queue.limit.answered(sent.at, full);
      queue.history.answered(sent);
      return { kind: 'answered', value };
    } catch (error) {
      const failure = asFailure(error, sent, first && inFlight.sent === number);
      if (failure?.kind === 'refused') queue.limit.refused(sent.at, queue.inFlight);
      if (failure?.kind === 'unanswered') queue.history.unanswered();
      if (failure) return failure;
      leaveRun();
      queue.startAll();
      throw error;
    } finally {
      inFlight.now--;
    }
  };
  try {
    const result = await withRetries(attempt, retry, signal);
    const { answeredAt } = queue.history;
    if (result.kind === 'answered') {
      sender.computed = true;
      return result;
    }
    const computed = sender.computed && sender.patient;
    const next = tries.after(result, { turn, answeredAt, computed, giveUpAt: begunAt + retry.unavailableMs });
    if (next.kind === 'end') throw next.error;
    return next;
  } catch (error) {
    if (isAway(error) && queue.history.answeredAt < begunAt) queue.refuseAll(error.with({ unanswered: undefined }));
    throw error;
  } finally {
    leaveRun();
    queue.leave();
  }
}

/**
 * Asks with a blank picture whether the version answers. Any answer counts, even an error of the model.
 * @throws JobError that is no word about the job, if there is none
 */
async function probe(history: AnswerHistory, askBlank: () => Promise<unknown>): Promise<void> {
  const sent = history.sending();
  try {
    await askBlank();
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
    if (error.verdict === 'defer' && !error.outOfMemory) {
      throw error.with({ unanswered: undefined, costsAttempt: false });
    }
  }
  history.answered(sent);
}

/**
 * Whether the requests behind this one would each wait as long again, unless the version has answered in the meantime. After
 * an error that costs an attempt they would not: another replica may be well. If one request lacks memory, others may not.
 */
function isAway(error: unknown): error is JobError {
  const isOwn = error instanceof JobError && (error.costsAttempt || error.outOfMemory);
  return error instanceof JobError && error.code === 'MODEL_UNAVAILABLE' && !isOwn;
}

/** @returns undefined if the error ends the request, or may be retried in place */
function asFailure(error: unknown, sent: Sent, aloneInWorker: boolean): Failure | undefined {
  if (!(error instanceof JobError)) return undefined;
  if (error.code === 'MODEL_OVERLOADED') return { kind: 'refused', error };
  if (error.unanswered !== undefined) return { kind: 'unanswered', error, sent };
  if (error.verdict === 'retry-then-fail' || error.outOfMemory) return { kind: 'failed', error, aloneInWorker };
  return undefined;
}
