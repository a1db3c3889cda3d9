import type { Capacity } from '../domain/capacity.js';
import { isSameSize, type Size } from '../domain/raster.js';
import { waitUnless } from '../domain/signals.js';
import type { Cost } from '../pipeline/cost.js';
import type { PlannedRequest } from '../pipeline/transform.js';
import { createConcurrencyLimit, type ConcurrencyLimit } from './concurrency-limit.js';
import { behindFrom, nextRun, nextToJoin, type QueueState, type Run, waitedForOthersMs } from './next-run.js';
import { AnswerHistory } from './answer-history.js';
import { TenantTurns } from './tenant-turns.js';

export interface VersionQueueOptions {
  readonly model: string;
  readonly version: string;
  /** What the model takes. Called at every turn, since a reload may change it. */
  readonly capacity: () => Capacity;
  /** Current cost of one execution. */
  readonly cost: () => Cost;
}

/** A request that is retried apart. */
interface Apart extends Waiting {
  /** Most requests that may be in flight together, including this one. Only requests with the same number share a group. */
  readonly together: number;
}

/** A waiting request. The next request of its job waits behind it. */
interface Waiting {
  readonly request: PlannedRequest;
  readonly start: (run: Run) => void;
  readonly refuse: (reason: Error) => void;
}

/**
 * How many of the last runs the queue remembers. It expects the shortest of their waits for other workers: a run that is sent too
 * early only takes a place in Triton's queue, but one that is sent too late may leave the GPU without work.
 */
const WAITS_KEPT = 3;
/** How long after two jobs met at a model neither fills it completely, in milliseconds. */
const SHARED_MS = 1_000;

/**
 * The waiting requests of one model version, and those in flight.
 *
 * Triton's batcher takes its queue in order, and a request of another shape ends the batch. So the queue sends requests
 * of one shape in runs of at most a batch. Tenants take turns at leading a run, and so do the jobs of each tenant.
 * Other requests of the same shape join it, and pictures that may be padded form the group that saves most. The queue
 * keeps no more runs in flight than the model needs to stay busy, because requests that are not sent yet can still join
 * later ones.
 *
 * Requests that failed together are retried apart, in ever smaller groups. Nothing else of this worker is in flight with
 * such a group. So a few executions find the one request of eight that fails them all.
 */
export class VersionQueue {
  readonly history = new AnswerHistory();
  inFlight = 0;
  readonly limit: ConcurrencyLimit = createConcurrencyLimit();
  readonly #options: VersionQueueOptions;
  /** Runs with requests in flight, newest last. */
  readonly #runs: Run[] = [];
  /** Jobs with waiting requests, in the order of their turns. */
  readonly #turns = new Map<object, Waiting[]>();
  /** Tenants, by the last run that they led. */
  readonly #tenants = new TenantTurns();
  /** Requests that wait for a retry apart, in order of arrival. */
  readonly #apart: Apart[] = [];
  #apartNow = false;
  /** Groups of such requests sent since the last ordinary run. */
  #apartInRow = 0;
  #lastLed: PlannedRequest['priority'] = 'batch';
  /** When the last run ended, and the timer that starts the next. */
  #endedAt = -Infinity;
  /** How long the last runs waited for those of other workers, in milliseconds, newest last. */
  #waits: readonly number[] = [0];
  #pause: NodeJS.Timeout | undefined;
  /** Starts the run that is sent behind one that the model computes. */
  #behind: NodeJS.Timeout | undefined;
  /** The job of the last request, and the time until which other jobs are expected beside it. */
  #lastJob: object | undefined;
  #sharedUntil = 0;

  constructor(options: VersionQueueOptions) {
    this.#options = options;
  }

  get model(): string {
    return this.#options.model;
  }

  get version(): string {
    return this.#options.version;
  }

  get waiting(): number {
    return [...this.#turns.values()].reduce((sum, queue) => sum + queue.length, this.#apart.length);
  }

  /** What the model takes, within the concurrency limit that its queue's refusals have set. */
  capacity(): Capacity {
    const declared = this.#options.capacity();
    return { ...declared, inFlight: this.limit.permitted(declared.inFlight) };
  }

  /**
   * Waits for the turn of a request. The caller must call `leave` afterwards.
   * @throws the signal's reason; the reason passed to `refuseAll`
   */
  acquire(job: object, request: PlannedRequest, signal: AbortSignal): Promise<Run> {
    const met = this.#lastJob !== job && (this.inFlight > 0 || this.#turns.size > 0);
    if (met) this.#sharedUntil = performance.now() + SHARED_MS;
    this.#lastJob = job;
    return this.#enqueue(signal, request, (waiting) => {
      const queue = this.#turns.get(job) ?? [];
      queue.push(waiting);
      this.#turns.set(job, queue);
      return () => {
        queue.splice(queue.indexOf(waiting), 1);
        if (queue.length === 0 && this.#turns.get(job) === queue) this.#turns.delete(job);
      };
    });
  }

  /**
   * Like `acquire`, for a request that may be in flight only with others of its kind.
   * @param together most requests of one shape in such a group
   */
  acquireApart(request: PlannedRequest, together: number, signal: AbortSignal): Promise<Run> {
    return this.#enqueue(signal, request, (waiting) => {
      const apart: Apart = { ...waiting, together };
      this.#apart.push(apart);
      return () => {
        this.#apart.splice(this.#apart.indexOf(apart), 1);
        this.startAll();
      };
    });
  }

  #enqueue(signal: AbortSignal, request: PlannedRequest, add: (waiting: Waiting) => () => void): Promise<Run> {
    return waitUnless<Run>(signal, ({ resolve, reject }) => {
      const remove = add({ request, start: resolve, refuse: reject });
      this.startAll();
      return remove;
    });
  }

  /** Removes one request from its run, though it may still count as in flight. The caller then calls `startAll`. */
  leaveRun(run: Run): void {
    if (--run.inFlight > 0) return;
    this.#runs.splice(this.#runs.indexOf(run), 1);
    const now = performance.now();
    const waitedMs = waitedForOthersMs(run, this.#options.cost(), this.#endedAt, now);
    this.#waits = [...this.#waits, waitedMs].slice(-WAITS_KEPT);
    this.#endedAt = now;
  }

  /** Counts one request less in flight. */
  leave(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.#apartNow = false;
    this.startAll();
  }

  /** Refuses all waiting requests, because their model is away. */
  refuseAll(reason: Error): void {
    const waiting = [...this.#apart.splice(0), ...[...this.#turns.values()].flat()];
    this.#turns.clear();
    for (const one of waiting) one.refuse(reason);
  }

  /** Sends all requests that may be sent now. */
  startAll(): void {
    const capacity = this.capacity();
    while (this.inFlight < capacity.inFlight && !this.#apartNow) {
      const [next] = this.#apart;
      if (next && (this.#apartInRow < capacity.batch || this.#turns.size === 0)) {
        // If others are in flight, the group starts when all of them are answered.
        if (this.inFlight === 0 && !this.#mustRest(capacity)) this.#startApart(next, capacity.inFlight);
        return;
      }
      if (!this.#joinRun(capacity) && !this.#leadRun(capacity)) return;
    }
  }

  /** Sends the first request and those that may share its group. */
  #startApart(first: Apart, room: number): void {
    const { together, request } = first;
    const group = this.#apart
      .filter((one) => one.together === together && isSameSize(one.request.shape, request.shape))
      .slice(0, Math.min(together, room));
    this.#apartNow = true;
    this.#apartInRow++;
    const { width, height } = request.shape;
    const run = this.#beginRun({ width, height }, group.length, first);
    for (const one of group) {
      this.#apart.splice(this.#apart.indexOf(one), 1);
      this.#send(one, run);
    }
  }

  /** Sends one more request in the newest run, while it can still share the run's batch. */
  #joinRun(capacity: Capacity): boolean {
    const [run, job] = [this.#runs.at(-1), nextToJoin(this.#state(), capacity, performance.now())];
    if (!run || !job) return false;
    this.#start(job, run);
    return true;
  }

  /** Starts a run with the job whose turn it is, and with all requests of its padded group if it has one. */
  #leadRun(capacity: Capacity): boolean {
    if (this.#turns.size === 0 || this.#runs.length >= capacity.runs || this.#mustRest(capacity)) return false;
    const [state, cost] = [this.#state(), this.#options.cost()];
    const past = { endedAt: this.#endedAt, othersMs: Math.min(...this.#waits) };
    if (this.#isEarly(behindFrom(state, capacity, cost, past))) return false;
    const next = nextRun(state, capacity, cost);
    if (!next) return false;
    this.#lastLed = next.request.priority;
    this.#tenants.served(next.request);
    this.#apartInRow = 0;
    const run = this.#beginRun(next.window, next.most, next.leader);
    for (const job of next.members) this.#start(job, run);
    return true;
  }

  #state(): QueueState {
    return {
      ...{ turns: this.#turns, tenants: this.#tenants, runs: this.#runs },
      ...{ inFlight: this.inFlight, lastLed: this.#lastLed },
      shared: performance.now() < this.#sharedUntil,
    };
  }

  /** Whether no run, of either kind, may start yet. The timer calls `startAll` when one may. */
  #mustRest({ pauseMs }: Capacity): boolean {
    const rest = Math.max(this.#endedAt + pauseMs, this.limit.restUntil(this.inFlight)) - performance.now();
    if (rest <= 0 && !this.#pause) return false;
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.startAll();
    }, rest);
    return true;
  }

  /** Whether that time lies ahead. The timer then calls `startAll`. */
  #isEarly(from: number): boolean {
    clearTimeout(this.#behind);
    const waitMs = from - performance.now();
    if (waitMs > 0) this.#behind = setTimeout(() => this.startAll(), waitMs);
    return waitMs > 0;
  }

  #beginRun(window: Size, most: number, leader: object): Run {
    const run = { window, most, leader, begunAt: performance.now(), sent: 0, inFlight: 0 };
    this.#runs.push(run);
    return run;
  }

  #start(job: object, run: Run): void {
    const queue = this.#turns.get(job) ?? [];
    const next = queue.shift();
    this.#turns.delete(job);
    if (queue.length > 0) this.#turns.set(job, queue); // to the end of the order
    if (next) this.#send(next, run);
  }

  #send(next: Waiting, run: Run): void {
    this.inFlight++;
    run.sent++;
    run.inFlight++;
    next.start(run);
  }
}
