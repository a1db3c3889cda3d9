import { setMaxListeners } from 'node:events';
import { GivenBack } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';

/**
 * Limits how many jobs are in work at once, and works on one delivery per job id at a time. A second delivery of a job waits
 * for the first and then finds its record. The limit is necessary because the client's flow control does not cap the number
 * of messages.
 *
 * Models share the places fairly. The next place goes to the model that holds the fewest. While jobs of several models
 * arrive, no model holds more than three quarters of the places, so that a burst of one model leaves places for another.
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
  /** Whether the job inside must run alone, so that no other may enter. */
  readonly alone: boolean;
  readonly paused: boolean;
}

export interface EntryRequest {
  readonly jobId: string;
  /** Model of the job's first operation. */
  readonly model: string;
  readonly priority?: Priority;
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

interface Waiting extends Required<EntryRequest> {
  /** Position in the order of arrival. */
  readonly number: number;
  met: boolean;
  readonly admit: (leave: () => void) => void;
  readonly turnAway: (reason: GivenBack) => void;
}

/**
 * How long after the last job of a model other models leave places for it, in milliseconds. Interactive jobs keep their
 * larger share for the same time.
 */
const REMEMBERED_MS = 60_000;
/** With fewer places than this, none is reserved for interactive jobs. */
const MANY_PLACES = 16;
/** Share of the places reserved for interactive jobs while such jobs arrive. */
const INTERACTIVE_SHARE = 1 / 8;
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
  const inside = new Set<string>();
  const held = new Map<string, number>();
  const lastSeen = new Map<string, number>();
  let waiting: Waiting[] = [];
  let interactiveSeen = -Infinity;
  let batchInside = 0;
  let arrivals = 0;
  /** Jobs that arrived up to this number enter before the next job that must run alone. */
  let others = 0;
  let loner = false;
  let paused = false;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // every job that stands aside listens

  const heldBy = (model: string) => held.get(model) ?? 0;

  function leave({ jobId, model, alone, priority }: Waiting): void {
    inside.delete(jobId);
    if (priority === 'batch') batchInside--;
    if (alone) {
      loner = false;
      others = arrivals;
    }
    if (heldBy(model) > 1) held.set(model, heldBy(model) - 1);
    else held.delete(model);
    admitNext();
  }

  function admitNext(): void {
    while (inside.size < places && !paused) {
      const next = nextIn();
      if (!next) break;
      waiting.splice(waiting.indexOf(next), 1);
      inside.add(next.jobId);
      loner = next.alone;
      if (next.priority === 'batch') batchInside++;
      held.set(next.model, heldBy(next.model) + 1);
      next.admit(() => leave(next));
    }
    for (const one of waiting) one.met ||= inside.has(one.jobId);
  }

  function nextIn(): Waiting | undefined {
    if (loner) return undefined;
    const alone = waiting.find((one) => one.alone);
    if (!alone) return longestOfSmallest(waiting);
    const before = waiting.filter((one) => !one.alone && one.number <= others);
    if (before.length > 0) return longestOfSmallest(before);
    return inside.size === 0 ? alone : undefined;
  }

  /** The job that has waited longest, of the model that holds the fewest places. */
  function longestOfSmallest(candidates: readonly Waiting[]): Waiting | undefined {
    const [most, full] = [mostForOneModel(), batchInside >= mostForBatch()];
    let best: Waiting | undefined;
    for (const one of candidates) {
      const interactive = one.priority === 'interactive';
      // A model's limit protects the places of other models; the places reserved for interactive jobs are not among those.
      if (inside.has(one.jobId) || (!interactive && (full || heldBy(one.model) >= most))) continue;
      if (!best || (interactive && best.priority === 'batch')) best = one;
      else if (one.priority === best.priority && heldBy(one.model) < heldBy(best.model)) best = one;
    }
    return best;
  }

  function mostForOneModel(): number {
    for (const [model, at] of lastSeen) if (now() - at > REMEMBERED_MS) lastSeen.delete(model);
    return lastSeen.size > 1 ? Math.max(1, places - Math.floor(places / 4)) : places;
  }

  function mostForBatch(): number {
    if (places < MANY_PLACES) return places;
    return places - (now() - interactiveSeen <= REMEMBERED_MS ? Math.floor(places * INTERACTIVE_SHARE) : 1);
  }

  function enter({ jobId, model, priority = 'batch', alone = false }: EntryRequest): Promise<Entry> {
    return new Promise((resolve) => {
      const cameAt = now();
      const turnAway = (reason: GivenBack) => {
        clearTimeout(timer);
        resolve({ kind: 'turned away', reason });
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(one), 1);
        turnAway(new GivenBack('no place was free for 45 minutes'));
      }, LONGEST_WAIT_MS).unref();
      const one: Waiting = {
        ...{ jobId, model, priority, alone, turnAway, number: ++arrivals, met: false },
        admit(leave) {
          clearTimeout(timer);
          resolve({ kind: 'entered', leave, waitedMs: now() - cameAt, met: one.met });
        },
      };
      if (closing.signal.aborted) {
        turnAway(closed());
        return;
      }
      lastSeen.set(model, now());
      if (priority === 'interactive') interactiveSeen = now();
      waiting.push(one);
      admitNext();
    });
  }

  return {
    enter,
    pause(on) {
      paused = on;
      admitNext();
    },
    close() {
      closing.abort(closed());
      const sentAway = waiting;
      waiting = [];
      sentAway.forEach(({ turnAway }) => turnAway(closed()));
    },
    closing: closing.signal,
    get active() {
      return inside.size;
    },
    get waiting() {
      return waiting.length;
    },
    get alone() {
      return loner;
    },
    get paused() {
      return paused;
    },
  };
}

function closed(): GivenBack {
  return new GivenBack('the worker takes no more jobs');
}
