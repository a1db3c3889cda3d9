/** Which requests of a model version are sent next: the rules of its queue, without promises and timers. */
import type { Capacity } from '../domain/capacity.js';
import type { Priority } from '../domain/job.js';
import { isSameSize, type Size } from '../domain/raster.js';
import { fillGroup } from '../pipeline/padded-group.js';
import type { Cost } from '../pipeline/cost.js';
import type { PlannedRequest } from '../pipeline/transform.js';
import type { TenantTurns } from './tenant-turns.js';

/** Requests of one window that are sent together. */
export interface Run {
  readonly window: Size;
  /** Most requests that it may have. */
  readonly most: number;
  /** The job whose turn it was. */
  readonly leader: object;
  /** By `performance.now()`. */
  readonly begunAt: number;
  sent: number;
  inFlight: number;
}

/** What the rules know of a queue. */
export interface QueueState {
  /** Waiting requests of each job, in the order of the jobs' turns. */
  readonly turns: ReadonlyMap<object, readonly { readonly request: PlannedRequest }[]>;
  /** When each tenant last led a run. */
  readonly tenants: Pick<TenantTurns, 'lastTurn'>;
  /** Runs with requests in flight, newest last. */
  readonly runs: readonly Run[];
  readonly inFlight: number;
  /** Priority of the request that led the last run. */
  readonly lastLed: Priority;
  /** Whether two jobs met here lately. */
  readonly shared: boolean;
}

export interface NextRun {
  readonly leader: object;
  /** The leader's request. */
  readonly request: PlannedRequest;
  readonly window: Size;
  readonly most: number;
  /** The jobs whose next request goes with it, the leader included. */
  readonly members: readonly object[];
}

/** Time to cut, send and receive the pictures of a run, with room for a busy processor, in milliseconds. */
const LEAST_LEAD_MS = 50;
/** Most pictures considered for one group. Finding the best group takes the fourth power of this. */
const MOST_FOR_A_GROUP = 32;

/**
 * The next run: the request of the job whose turn it is, in its own window or in the padded group that saves most.
 * @returns undefined if no run may start now
 */
export function nextRun(state: QueueState, capacity: Capacity, cost: Cost): NextRun | undefined {
  const { turns, runs, inFlight } = state;
  if (runs.length >= capacity.runs) return undefined;
  const next = nextLeader(state, capacity);
  if (!next) return undefined;
  const { job: leader, request } = next;
  const { width, height, mayGrow, runPixels = Infinity } = request.shape;
  const run = (window: Size, members: readonly object[]): NextRun => {
    const most = mostInRun({ shape: { ...window, runPixels } }, capacity);
    return { leader, request, window, most, members };
  };
  if (!mayGrow) return run({ width, height }, [leader]);
  const limits = { requests: Math.min(capacity.batch, capacity.inFlight - inFlight), pixels: runPixels };
  const others = padded(turns).filter(({ job }) => job !== leader);
  const group = fillGroup({ job: leader, width, height }, others, cost, limits);
  return run(
    group.window,
    group.members.map(({ job }) => job),
  );
}

/** What the queue knows of runs that have ended. */
export interface PastRuns {
  /** When the last run ended, by `performance.now()`. */
  readonly endedAt: number;
  /** How long runs wait at Triton for the executions of other workers, in milliseconds. */
  readonly othersMs: number;
}

/**
 * When a run may be sent behind those that the model computes. It arrives in time if it is sent while half of the execution
 * in front of it is left. Sent at once, it would keep an interactive job waiting for two executions, and could take in fewer
 * of the pictures that still come. The run in front first waits for those of other workers, and batch jobs wait with it. An
 * interactive job takes its place in Triton's queue without that wait.
 * @returns by `performance.now()`; `-Infinity` if an instance is free, or while the cost of an execution is unknown
 */
export function behindFrom(state: QueueState, capacity: Capacity, cost: Cost, past: PastRuns): number {
  const front = state.runs.at(-capacity.instances);
  if (!front || !cost.inMs) return -Infinity;
  const duration = executionMs(front, cost);
  const waitMs = nextLeader(state, capacity)?.request.priority === 'interactive' ? 0 : past.othersMs;
  return Math.max(front.begunAt, past.endedAt) + waitMs + duration - Math.max(duration / 2, LEAST_LEAD_MS);
}

/**
 * How long a run that ends now waited at Triton for the executions of other workers. Triton does not say it, so this subtracts the
 * run's own execution from the time since the run began, or since this worker's run before it ended.
 * @param endedAt when the worker's last run before this one ended, by `performance.now()`
 * @returns milliseconds; 0 while the cost of an execution is unknown
 */
export function waitedForOthersMs(run: Run, cost: Cost, endedAt: number, now: number): number {
  if (!cost.inMs) return 0;
  return Math.max(0, now - Math.max(run.begunAt, endedAt) - executionMs(run, cost));
}

function executionMs({ window: { width, height }, sent }: Run, { fixed, perPixel }: Cost): number {
  return fixed + perPixel * width * height * sent;
}

/** The job whose next request can still share the batch of the newest run. */
export function nextToJoin({ turns, runs }: QueueState, { growMs }: Capacity, now: number): object | undefined {
  const run = runs.at(-1);
  if (!run || run.sent >= run.most || now - run.begunAt > growMs) return undefined;
  for (const [job, [first]] of turns) {
    if (first && isSameSize(first.request.shape, run.window)) return job;
  }
  return undefined;
}

interface Leader {
  readonly job: object;
  readonly request: PlannedRequest;
}

/**
 * The job that leads the next run. Interactive jobs go before the others, but not twice in succession. Within one priority,
 * tenants take turns, and the jobs of each tenant do.
 */
function nextLeader(
  { turns, tenants, lastLed, runs, shared }: QueueState,
  { instances }: Capacity,
): Leader | undefined {
  // While jobs compete, a job with a run in flight may not lead the one that waits behind it: a new job would wait for two of
  // its batches. A large job alone may have its next tiles ready at Triton.
  const but = runs.length >= instances && shared ? runs.map(({ leader }) => leader) : [];
  const preferred = lastLed === 'interactive' ? 'batch' : 'interactive';
  const isAhead = (one: PlannedRequest, other: PlannedRequest) =>
    one.priority === other.priority ? tenants.lastTurn(one) < tenants.lastTurn(other) : one.priority === preferred;
  let next: Leader | undefined;
  for (const [job, [first]] of turns) {
    if (!first || but.includes(job)) continue;
    if (!next || isAhead(first.request, next.request)) next = { job, request: first.request };
  }
  return next;
}

/** The first request of each job, if it may be padded, in the order of turns. */
function padded(turns: QueueState['turns']): (Size & { readonly job: object })[] {
  const found: (Size & { readonly job: object })[] = [];
  for (const [job, [first]] of turns) {
    if (found.length === MOST_FOR_A_GROUP) break;
    if (!first?.request.shape.mayGrow) continue;
    const { width, height } = first.request.shape;
    found.push({ job, width, height });
  }
  return found;
}

/** How many requests of a window may share a batch, by what the model takes and by the memory that a batch may use. */
export function mostInRun(
  { shape: { width, height, runPixels = Infinity } }: { readonly shape: Size & { readonly runPixels?: number } },
  { batch }: Pick<Capacity, 'batch'>,
): number {
  return Math.max(1, Math.min(batch, Math.floor(runPixels / (width * height))));
}
