import type { Capacity } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import { isSameSize, type Size } from '../domain/raster.js';
import { fillBucket } from '../pipeline/bucket.js';
import type { Cost } from '../pipeline/cost.js';
import { type RetryLimits, withRetries } from '../pipeline/retry.js';
import type { Lane, Ticket } from '../pipeline/transform.js';
import { createWindow, type Window } from './window.js';

/**
 * Shares the requests in flight of each version of a model among the jobs of this worker, so that a picture of a thousand
 * tiles delays a thumbnail by a batch or two and not by a thousand tiles. Versions, which have instances and a queue each,
 * do not wait for each other.
 *
 * Triton's batcher takes its queue in order, and a request of another shape ends the batch. So requests of one shape are
 * sent in runs of at most a batch: jobs take turns at leading one, others that match go along, and pictures that may be
 * padded go along in the bucket that saves most. Only as many runs are in flight as keep the model busy: what is not sent
 * yet can still be matched with what comes.
 */
export interface FairShare {
  /**
   * The lane of one job; its tasks keep their order, and take turns with those of other jobs. A task that fails is run
   * again as its error's verdict permits; while it waits for that it counts as in flight, so that a server in trouble is
   * not asked by more and more, but holds up no run. One that a full queue refused waits for another turn. When one
   * gives up because its model is away, all that wait for the model do.
   */
  lane(job: object): Lane;
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

/** A request that waits. The next of its job stands behind it. */
interface Waiting {
  readonly ticket: Ticket;
  readonly start: (run: Run) => void;
  readonly refuse: (reason: Error) => void;
}

/** Requests of one window that are sent together. */
interface Run {
  readonly window: Size;
  /** Requests that it may have. */
  readonly most: number;
  /** The job whose turn it was. */
  readonly leader: object;
  readonly begunAt: number;
  sent: number;
  inFlight: number;
}

/** Of one version of a model. */
interface Gate {
  readonly model: string;
  readonly version: string;
  readonly window: Window;
  /** When a request was last answered. */
  answeredAt: number;
  inFlight: number;
  /** Those with requests in flight, newest last. */
  readonly runs: Run[];
  /** Jobs with waiting requests, in the order of their turns. */
  readonly turns: Map<object, Waiting[]>;
  lastLed: Ticket['priority'];
  /** When the last run ended, and the timer that waits for the next to begin. */
  endedAt: number;
  pause: NodeJS.Timeout | undefined;
  /** The job that asked last, and until when others are to be expected beside it. */
  lastJob: object | undefined;
  sharedUntil: number;
}

/** For so long after two jobs have met at a model, none of them fills it to the brim, in milliseconds. */
const SHARED_MS = 1_000;

/** Pictures that are looked at for one bucket: finding the best takes the fourth power of it. */
const MOST_FOR_A_BUCKET = 32;

export function createFairShare({ capacityOf, costOf, retry }: FairShareOptions): FairShare {
  const gates = new Map<string, Gate>();

  function gateOf({ model, version }: Pick<Ticket, 'model' | 'version'>): Gate {
    const key = `${model}/${version}`;
    const gate = gates.get(key) ?? {
      ...{ model, version, window: createWindow(), answeredAt: -Infinity },
      ...{ inFlight: 0, runs: [], turns: new Map<object, Waiting[]>() },
      ...{ lastLed: 'batch', lastJob: undefined, sharedUntil: 0, endedAt: -Infinity, pause: undefined },
    };
    gates.set(key, gate);
    return gate;
  }

  function capacityNow({ model, window }: Gate): Capacity {
    const declared = capacityOf(model);
    return { ...declared, inFlight: window.limit(declared.inFlight) };
  }

  function startAll(gate: Gate): void {
    const capacity = capacityNow(gate);
    while (gate.inFlight < capacity.inFlight) {
      if (!goAlong(gate, capacity) && !leadRun(gate, capacity)) return;
    }
  }

  /** Sends one more request of the newest run's shape while that can still share its batch. */
  function goAlong(gate: Gate, { growMs }: Capacity): boolean {
    const run = gate.runs.at(-1);
    if (!run || run.sent >= run.most || performance.now() - run.begunAt > growMs) return false;
    for (const [job, [first]] of gate.turns) {
      if (first && isSameSize(first.ticket.shape, run.window)) {
        start(gate, job, run);
        return true;
      }
    }
    return false;
  }

  /** Begins a run with whoever's turn it is, and with all of its bucket where it has one. */
  function leadRun(gate: Gate, { inFlight, batch, instances, runs, pauseMs }: Capacity): boolean {
    if (gate.runs.length >= runs || gate.pause) return false;
    const rest = Math.max(gate.endedAt + pauseMs, gate.window.restUntil(gate.inFlight)) - performance.now();
    if (rest > 0) {
      gate.pause = setTimeout(() => {
        gate.pause = undefined;
        startAll(gate);
      }, rest);
      return false;
    }
    // Where jobs meet, the run that waits behind the others is not for one that leads a run already: whoever comes next
    // would find two large batches of it before him. A large job alone may have its next tiles ready at Triton.
    const choosy = gate.runs.length >= instances && performance.now() < gate.sharedUntil;
    const leader = nextLeader(gate, choosy ? gate.runs.map((run) => run.leader) : []);
    const ticket = leader && gate.turns.get(leader)?.[0]?.ticket;
    if (!ticket) return false;
    gate.lastLed = ticket.priority;

    const { model, version, shape } = ticket;
    const { width, height, mayGrow, runPixels = Infinity } = shape;
    const begin = (window: Size): Run => {
      const most = Math.max(1, Math.min(batch, Math.floor(runPixels / (window.width * window.height))));
      const run = { window, most, leader, begunAt: performance.now(), sent: 0, inFlight: 0 };
      gate.runs.push(run);
      return run;
    };
    if (!mayGrow) {
      start(gate, leader, begin({ width, height }));
      return true;
    }
    const limits = { requests: Math.min(batch, inFlight - gate.inFlight), pixels: runPixels };
    const others = padded(gate).filter(({ job }) => job !== leader);
    const bucket = fillBucket({ job: leader, width, height }, others, costOf(model, version), limits);
    const run = begin(bucket.window);
    for (const { job } of bucket.members) start(gate, job, run);
    return true;
  }

  /** The first in the row but those; who is in a hurry goes before the others, but not twice running. */
  function nextLeader({ turns, lastLed }: Gate, but: readonly object[]): object | undefined {
    const preferred = lastLed === 'interactive' ? 'batch' : 'interactive';
    let next: object | undefined;
    for (const [job, [first]] of turns) {
      if (but.includes(job)) continue;
      if (first?.ticket.priority === preferred) return job;
      next ??= job;
    }
    return next;
  }

  function start(gate: Gate, job: object, run: Run): void {
    const queue = gate.turns.get(job) ?? [];
    const next = queue.shift();
    gate.turns.delete(job);
    if (queue.length > 0) gate.turns.set(job, queue); // to the end of the row
    gate.inFlight++;
    run.sent++;
    run.inFlight++;
    next?.start(run);
  }

  function acquire(job: object, ticket: Ticket, signal: AbortSignal): Promise<Run> {
    const gate = gateOf(ticket);
    const met = gate.lastJob !== job && (gate.inFlight > 0 || gate.turns.size > 0);
    if (met) gate.sharedUntil = performance.now() + SHARED_MS;
    gate.lastJob = job;
    return new Promise((resolve, reject) => {
      const queue = gate.turns.get(job) ?? [];
      const waiting: Waiting = {
        ticket,
        start(run) {
          signal.removeEventListener('abort', giveUp);
          resolve(run);
        },
        refuse(reason) {
          signal.removeEventListener('abort', giveUp);
          reject(reason);
        },
      };
      const giveUp = () => {
        queue.splice(queue.indexOf(waiting), 1);
        if (queue.length === 0 && gate.turns.get(job) === queue) gate.turns.delete(job);
        reject(signal.reason as Error);
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal.addEventListener('abort', giveUp, { once: true });
      queue.push(waiting);
      gate.turns.set(job, queue);
      startAll(gate);
    });
  }

  function refuseAll(gate: Gate, reason: Error): void {
    const waiting = [...gate.turns.values()].flat();
    gate.turns.clear();
    for (const one of waiting) one.refuse(reason);
  }

  /** One request in its run, tried again in place while its model is down. @throws Refused when the queue is full */
  async function inRun<T>(gate: Gate, run: Run, task: (window: Size) => Promise<T>, signal: AbortSignal): Promise<T> {
    const begunAt = performance.now();
    let inside = true;
    const leaveRun = () => {
      if (inside && --run.inFlight === 0) {
        gate.runs.splice(gate.runs.indexOf(run), 1);
        gate.endedAt = performance.now();
      }
      inside = false;
    };
    const attempt = async () => {
      const sentAt = performance.now();
      const full = gate.inFlight >= capacityNow(gate).inFlight;
      try {
        const result = await task(run.window);
        gate.window.answered(sentAt, full);
        gate.answeredAt = performance.now();
        return result;
      } catch (error) {
        if (error instanceof JobError && error.code === 'MODEL_OVERLOADED') {
          gate.window.refused(sentAt, gate.inFlight);
          throw new Refused(error);
        }
        leaveRun();
        startAll(gate);
        throw error;
      }
    };
    try {
      return await withRetries(attempt, retry, signal);
    } catch (error) {
      // Where nobody was answered meanwhile, who waits behind it would wait as long again, each in his turn.
      const away = error instanceof JobError && error.code === 'MODEL_UNAVAILABLE' && gate.answeredAt < begunAt;
      if (away) refuseAll(gate, error);
      throw error;
    } finally {
      gate.inFlight--;
      leaveRun();
      startAll(gate);
    }
  }

  return {
    lane: (job) => async (ticket, task, signal) => {
      const giveUpAt = performance.now() + retry.unavailableMs;
      for (;;) {
        const run = await acquire(job, ticket, signal);
        try {
          return await inRun(gateOf(ticket), run, task, signal);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          if (performance.now() >= giveUpAt) throw error.reason;
        }
      }
    },
    load: () =>
      [...gates.values()].map((gate) => ({
        ...{ model: gate.model, version: gate.version, inFlight: gate.inFlight, limit: capacityNow(gate).inFlight },
        waiting: [...gate.turns.values()].reduce((sum, queue) => sum + queue.length, 0),
      })),
  };
}

/** The queue was full. Who meets that waits for another turn, and it is the answers of others that say when. */
class Refused extends Error {
  constructor(readonly reason: JobError) {
    super(reason.message);
  }
}

/** The first ones in the row that may be padded, one a job. */
function padded({ turns }: Gate): (Size & { readonly job: object })[] {
  const found: (Size & { readonly job: object })[] = [];
  for (const [job, [first]] of turns) {
    if (found.length === MOST_FOR_A_BUCKET) break;
    if (!first?.ticket.shape.mayGrow) continue;
    const { width, height } = first.ticket.shape;
    found.push({ job, width, height });
  }
  return found;
}
