/**
 * Tracks replicas of Triton that answer, but fail at a model through a fault of their own. Requests of that model avoid
 * such a replica, and a metric shows it.
 *
 * When a model's process dies, Triton (2.51) gives the same error to requests that were executing, that waited in the queue,
 * and that come later. Timing tells them apart. All that were executing together fail at once. For each of the others Triton
 * waits at least a second for the process (python_be.cc). So a request was executing
 * - if it fails within a second, or
 * - if it is the first to fail of a process that had lived before, or fails together with that one.
 * Any other request was not executing. A worker that comes to a dead process has executed nothing.
 *
 * A process counts as alive when it has answered a request, or when the model was unloaded since the last failure. A
 * reload leaves the model unloaded for two seconds (triton/watchdog.py, `imagen models reload`).
 */
import type { Fault } from './failures.js';

/** `hang`: a request of the model was late, although the replica answered others. */
export type SickFault = Fault | 'hang';

/** Faults that the model's process survives. */
const OUTLIVED: ReadonlySet<SickFault> = new Set(['memory', 'hang']);

export interface SickReplica {
  readonly model: string;
  readonly version: string;
  /** Its address, as the connection knows it. */
  readonly replica: string;
  readonly fault: SickFault;
}

interface Sickness extends SickReplica {
  /** When the process was first seen to fail, and when a request last failed. `-Infinity` where it was never seen alive. */
  readonly since: number;
  failedAt: number;
  /** When a request last failed there, or was last sent there as a trial. */
  triedAt: number;
  /** Whether the model was unloaded there since. The next failure then belongs to a new process. */
  over: boolean;
}

export type KnownFault = Readonly<Pick<Sickness, 'replica' | 'fault' | 'since' | 'failedAt'>>;

/** All that fail within this time of the first were executed together with it; the next takes a second. */
const TOGETHER_MS = 500;
/** Pause between two trial requests to a failing replica, in milliseconds. */
const TRIAL_EVERY_MS = 5_000;
/** A request to a dead process takes a second. This limit is a little lower, in milliseconds. */
const DEAD_TAKES_MS = 900;
/** Replicas come and go, and with them their addresses. */
const MOST_REMEMBERED = 1_000;
/**
 * How long after its last failure a replica with several processes counts as failing although it answers, in
 * milliseconds: one answer says nothing about the other processes.
 */
const WELL_AFTER_MS = 10_000;
/**
 * How long after its last failure a replica is forgotten, in milliseconds. It may get no requests any more, or be gone.
 */
const FORGOTTEN_AFTER_MS = 300_000;

export class Replicas {
  readonly #sick = new Map<string, Sickness>();
  /** The time of the last answer of each replica whose process has not failed since. The oldest comes first. */
  readonly #alive = new Map<string, number>();
  /** The last fault at each version that lasts: a lack of memory fails one request, and not the next. */
  readonly #lasting = new Map<string, Sickness>();
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param instances processes that the model has at each replica */
  answered(model: string, version: string, replica: string, instances: number): void {
    const key = keyOf(model, version, replica);
    const sickness = this.#sick.get(key);
    if (!sickness) {
      this.#remember(key);
      return;
    }
    if (instances <= 1 || this.#now() - sickness.failedAt > WELL_AFTER_MS) {
      this.#sick.delete(key);
      this.#remember(key);
    }
  }

  #remember(key: string): void {
    this.#alive.delete(key);
    this.#alive.set(key, this.#now());
    const [oldest] = this.#alive.keys();
    if (oldest !== undefined && this.#alive.size > MOST_REMEMBERED) this.#alive.delete(oldest);
  }

  /**
   * @param sentAt when the request was sent, on the same clock
   * @returns whether the request may be what broke it
   */
  failed(model: string, version: string, replica: string, fault: SickFault, sentAt: number): boolean {
    const key = keyOf(model, version, replica);
    const now = this.#now();
    const known = this.#sick.get(key);
    // A dead process is the better explanation, and must not look alive.
    if (fault === 'hang' && known && !known.over && !OUTLIVED.has(known.fault)) return false;
    const lived = known ? known.over || OUTLIVED.has(known.fault) : this.#alive.has(key);
    const since = lived ? now : (known?.since ?? -Infinity);
    this.#alive.delete(key);
    const sickness: Sickness = { model, version, replica, fault, since, failedAt: now, triedAt: now, over: false };
    this.#sick.set(key, sickness);
    if (fault !== 'memory') this.#lasting.set(keyOf(model, version), sickness);
    if (OUTLIVED.has(fault)) return false;
    const atOnce = fault === 'process' && now - sentAt < DEAD_TAKES_MS;
    return atOnce || (sentAt <= since && now - since <= TOGETHER_MS);
  }

  /**
   * The version is not ready: it has been unloaded, or is being loaded again.
   * @param replica where; undefined where that is not known
   */
  outOfUse(model: string, version: string, replica?: string): void {
    for (const sickness of this.#sick.values()) {
      const meant = replica === undefined || sickness.replica === replica;
      if (meant && sickness.model === model && sickness.version === version) sickness.over = true;
    }
  }

  /** The last fault of a replica at the version, if it lasts or if a request has failed by it since that time. */
  faultSince(model: string, version: string, at: number): KnownFault | undefined {
    const last = this.#lasting.get(keyOf(model, version));
    if (!last) return undefined;
    const isOver = last.over || this.#sick.get(keyOf(model, version, last.replica)) !== last;
    return isOver && last.failedAt < at ? undefined : last;
  }

  answeredSince(model: string, version: string, replica: string, at: number): boolean {
    return (this.#alive.get(keyOf(model, version, replica)) ?? -Infinity) >= at;
  }

  /** The replicas that requests of this version should avoid. Each still gets a request from time to time. */
  toAvoid(model: string, version: string): string[] {
    const now = this.#now();
    const avoided: string[] = [];
    for (const sickness of this.#sick.values()) {
      if (sickness.model !== model || sickness.version !== version) continue;
      if (now - sickness.triedAt < TRIAL_EVERY_MS) avoided.push(sickness.replica);
      else sickness.triedAt = now;
    }
    return avoided;
  }

  sick(): SickReplica[] {
    for (const [key, { failedAt }] of this.#sick) {
      if (this.#now() - failedAt > FORGOTTEN_AFTER_MS) this.#sick.delete(key);
    }
    return [...this.#sick.values()].map(({ model, version, replica, fault }) => ({ model, version, replica, fault }));
  }
}

const keyOf = (...parts: string[]): string => parts.join('/');
