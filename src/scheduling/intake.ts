import { setMaxListeners } from 'node:events';
import { GivenBack } from '../domain/errors.js';
import type { Priority } from '../domain/job.js';

/**
 * How many jobs are in work at once, and one at a time for each job id: of two deliveries of one job, the second waits
 * for the first and then finds its record. The client's flow control is no cap, so this is.
 *
 * Places are shared fairly among the models: the next goes to the model that holds the fewest, and while jobs of several
 * models come, none holds more than three quarters of them, so that a burst of one finds room left for another.
 *
 * A place of a worker with many is for interactive jobs alone, and several while such jobs come: however many large
 * pictures hold the others, an interactive thumbnail does not wait for one of them to end.
 *
 * A job that may kill its worker is worked on alone. It takes turns with the others: those who wait when it leaves are
 * let in before the next one like it.
 */
export interface Intake {
  /** Waits for its turn. */
  enter(request: EntryRequest): Promise<Entry>;
  /** Lets nobody in while something is out of order that every job needs; who is inside stays. */
  pause(paused: boolean): void;
  /** Lets nobody in any more and sends away whoever waits; who is inside stays. */
  close(): void;
  /** Fires with a GivenBack when it closes. */
  readonly closing: AbortSignal;
  readonly active: number;
  readonly waiting: number;
  /** Whether the one inside must be alone: then no other may enter. */
  readonly alone: boolean;
  readonly paused: boolean;
}

export interface EntryRequest {
  readonly jobId: string;
  /** Of the job's first operation. */
  readonly model: string;
  readonly priority?: Priority;
  /** Nobody else is inside as long as this one is. */
  readonly alone?: boolean;
}

export type Entry =
  | {
      readonly kind: 'entered';
      /** Gives the place back; call it exactly once. */
      readonly leave: () => void;
      /** How long it took, in milliseconds: what was known of the job before may be old. */
      readonly waitedMs: number;
      /** Another delivery of the same job was inside meanwhile. */
      readonly met: boolean;
    }
  /** The intake has closed, or the turn did not come for so long that the message should go elsewhere. */
  | { readonly kind: 'turned away'; readonly reason: GivenBack };

interface Waiting extends Required<EntryRequest> {
  /** Its place in the order of arrivals. */
  readonly number: number;
  met: boolean;
  readonly admit: (leave: () => void) => void;
  readonly turnAway: (reason: GivenBack) => void;
}

/** A model of which no job has come for this long needs no room kept for it; nor do interactive jobs. */
const REMEMBERED_MS = 60_000;
/** With fewer places than this, none is kept for interactive jobs alone. */
const MANY_PLACES = 16;
/** Of the places, kept for interactive jobs while such jobs come. */
const INTERACTIVE_SHARE = 1 / 8;
/** Well within the hour for which a lease is extended: a message that waited longer would come again, as an attempt. */
const LONGEST_WAIT_MS = 2_700_000;

/**
 * @param places jobs in work at once
 * @param now milliseconds on a clock that never goes back
 */
export function createIntake(places: number, now: () => number = () => performance.now()): Intake {
  const inside = new Set<string>();
  const held = new Map<string, number>();
  const lastSeen = new Map<string, number>();
  let waiting: Waiting[] = [];
  let interactiveSeen = -Infinity;
  let batchInside = 0;
  let arrivals = 0;
  /** Those who came up to this one go before the next that must be alone. */
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

  /** The longest waiting of the model that holds the fewest places. */
  function longestOfSmallest(candidates: readonly Waiting[]): Waiting | undefined {
    const [most, full] = [mostForOneModel(), batchInside >= mostForBatch()];
    let best: Waiting | undefined;
    for (const one of candidates) {
      const interactive = one.priority === 'interactive';
      // The share of a model keeps a burst from others' places; those of interactive jobs are no such places.
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
