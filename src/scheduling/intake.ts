import { setMaxListeners } from 'node:events';
import { GivenBack } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';
import { nextToEnter, type Occupancy } from './admission.js';
import { type Entrant, WaitingJobs } from './waiting-jobs.js';
import { TenantTurns } from './tenant-turns.js';

/**
 * Limits how many jobs are in work at once, and works on one delivery per job id at a time. A second delivery of a job waits
 * for the first and then finds its record. The limit is necessary because the client's flow control does not cap the number
 * of messages.
 *
 * Tenants share the places fairly, and so do models. The next place goes to the tenant that holds the fewest, and of its
 * models to the one that holds the fewest. While jobs of several tenants or models arrive, none holds more than three quarters
 * of the places, so that a burst of one leaves places for another. If the worker has many places, a tenant alone leaves one.
 *
 * If the worker has many places, one is reserved for interactive jobs, and several while such jobs arrive. So an interactive
 * thumbnail does not wait for a large picture to end.
 *
 * A job that may kill its worker runs alone. Such jobs take turns with the others: the jobs that wait when one leaves enter
 * before the next of its kind.
 */
export interface Intake {
  /** Waits for a place. */
  enter(request: EntryRequest): Promise<Entry>;
  /** Admits no jobs while something that every job needs is broken. Jobs inside continue. */
  pause(paused: boolean): void;
  /** Admits no more jobs and turns away those that wait. Jobs inside continue. */
  close(): void;
  /** Fires with a GivenBack when the intake closes. */
  readonly closing: AbortSignal;
  readonly active: number;
  readonly waiting: number;
  /** Jobs in work and jobs that wait for a place, of each tenant that has any; the tenant of jobs without one is `''`. */
  byTenant(): ReadonlyMap<string, { readonly active: number; readonly waiting: number }>;
  /** Whether the job inside must run alone, so that no other may enter. */
  readonly alone: boolean;
  readonly paused: boolean;
}

export interface EntryRequest {
  readonly jobId: string;
  /** Model of the job's first operation. */
  readonly model: string;
  readonly priority?: Priority;
  readonly tenant?: string | undefined;
  /** No other job is inside while this one is. */
  readonly alone?: boolean;
}

export type Entry =
  | {
      readonly kind: 'entered';
      /** Releases the place; call it exactly once. */
      readonly leave: () => void;
      /** How long the job waited, in milliseconds. What was known about the job before the wait may be out of date. */
      readonly waitedMs: number;
      /** Another delivery of the same job was inside in the meantime. */
      readonly met: boolean;
    }
  /** The intake has closed, or no place came free for so long that the message should go elsewhere. */
  | { readonly kind: 'turned away'; readonly reason: GivenBack };

interface Waiting extends Entrant {
  met: boolean;
  readonly admit: (leave: () => void) => void;
  readonly turnAway: (reason: GivenBack) => void;
}

/**
 * How long after the last job of a model or tenant others leave places for it, in milliseconds. Interactive jobs keep their
 * larger share for the same time.
 */
const REMEMBERED_MS = 60_000;
/**
 * Longest wait for a place, in milliseconds. It is well within the hour for which a lease is extended; after that hour the
 * message would return as another attempt.
 */
const LONGEST_WAIT_MS = 2_700_000;

/**
 * @param places jobs in work at once
 * @param now milliseconds on a monotonic clock
 */
export function createIntake(places: number, now: () => number = () => performance.now()): Intake {
  return new PlacesIntake(places, now);
}

class PlacesIntake implements Intake {
  readonly #inside = new Set<Waiting>();
  readonly #waiting = new WaitingJobs<Waiting>();
  /** When a job last asked for a model. */
  readonly #seen = new Map<string, number>();
  /** When a job of a tenant last arrived. */
  readonly #tenantsSeen = new Map<string, number>();
  readonly #turns = new TenantTurns();
  readonly #closing = new AbortController();
  #interactiveSeen = -Infinity;
  #arrivals = 0;
  /** Jobs that arrived up to this number enter before the next job that must run alone. */
  #before = 0;
  #paused = false;

  constructor(
    private readonly places: number,
    private readonly now: () => number,
  ) {
    setMaxListeners(0, this.#closing.signal); // every job that stands aside listens
  }

  enter({ jobId, model, priority = 'batch', tenant = '', alone = false }: EntryRequest): Promise<Entry> {
    return new Promise((resolve) => {
      const cameAt = this.now();
      const turnAway = (reason: GivenBack) => {
        clearTimeout(timer);
        resolve({ kind: 'turned away', reason });
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(one);
        turnAway(new GivenBack('no place was free for 45 minutes'));
      }, LONGEST_WAIT_MS).unref();
      const one: Waiting = {
        ...{ jobId, model, priority, tenant, alone, turnAway, number: ++this.#arrivals },
        met: this.#isInside(jobId),
        admit: (leave) => {
          clearTimeout(timer);
          resolve({ kind: 'entered', leave, waitedMs: this.now() - cameAt, met: one.met });
        },
      };
      if (this.#closing.signal.aborted) {
        turnAway(closed());
        return;
      }
      this.#seen.set(model, cameAt);
      this.#tenantsSeen.set(tenant, cameAt);
      if (priority === 'interactive') this.#interactiveSeen = cameAt;
      this.#waiting.add(one);
      this.#admit();
    });
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#admit();
  }

  close(): void {
    this.#closing.abort(closed());
    const sentAway = [...this.#waiting];
    this.#waiting.clear();
    sentAway.forEach(({ turnAway }) => turnAway(closed()));
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get active(): number {
    return this.#inside.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get alone(): boolean {
    return [...this.#inside].some(({ alone }) => alone);
  }

  byTenant(): Map<string, { active: number; waiting: number }> {
    const counts = new Map<string, { active: number; waiting: number }>();
    const add = (tenant: string, active: number, waiting: number) => {
      const before = counts.get(tenant) ?? { active: 0, waiting: 0 };
      counts.set(tenant, { active: before.active + active, waiting: before.waiting + waiting });
    };
    for (const { tenant = '' } of this.#inside) add(tenant, 1, 0);
    for (const { tenant = '' } of this.#waiting) add(tenant, 0, 1);
    return counts;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Admits all jobs that may enter now. */
  #admit(): void {
    while (!this.#paused && this.#inside.size < this.places) {
      const next = nextToEnter(this.#waiting, this.#occupancy());
      if (!next) break;
      this.#waiting.delete(next);
      this.#inside.add(next);
      this.#turns.served(next);
      for (const one of this.#waiting.ofJob(next.jobId)) one.met = true;
      next.admit(() => this.#leave(next));
    }
  }

  #isInside(jobId: string): boolean {
    return [...this.#inside].some((one) => one.jobId === jobId);
  }

  #leave(one: Waiting): void {
    this.#inside.delete(one);
    if (one.alone) this.#before = this.#arrivals;
    this.#admit();
  }

  #occupancy(): Occupancy {
    const now = this.now();
    for (const seen of [this.#seen, this.#tenantsSeen]) {
      for (const [name, at] of seen) if (now - at > REMEMBERED_MS) seen.delete(name);
    }
    const named = this.#tenantsSeen.size - Number(this.#tenantsSeen.has(''));
    return {
      places: this.places,
      inside: [...this.#inside],
      models: this.#seen.size,
      tenants: named === 0 ? 0 : this.#tenantsSeen.size,
      turns: this.#turns,
      interactive: now - this.#interactiveSeen <= REMEMBERED_MS,
      before: this.#before,
    };
  }
}

function closed(): GivenBack {
  return new GivenBack('the worker takes no more jobs');
}
