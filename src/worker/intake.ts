import { setMaxListeners } from 'node:events';
import { GivenBack } from '../domain/errors.js';

/**
 * How many jobs are in work at once, and one at a time for each job id: of two deliveries of one job, the second waits
 * for the first and then finds its record. The client's flow control is no cap, so this is.
 *
 * Places are shared fairly among the models: the next goes to the model that holds the fewest, and while jobs of several
 * models come, none holds more than three quarters of them, so that a burst of one finds room left for another.
 */
export interface Intake {
  /**
   * Waits for its turn.
   * @param model of the job's first operation
   * @param alone nobody else is inside as long as this one is
   * @returns what gives the place back; call it exactly once
   * @throws GivenBack when the intake closes before the turn has come
   */
  enter(jobId: string, model: string, alone?: boolean): Promise<() => void>;
  /** Lets nobody in any more and sends away whoever waits; who is inside stays. */
  close(): void;
  /** Fires with a GivenBack when it closes. */
  readonly closing: AbortSignal;
  readonly active: number;
  readonly waiting: number;
  /** Whether the one inside must be alone: then no other may enter. */
  readonly alone: boolean;
}

interface Waiting {
  readonly jobId: string;
  readonly model: string;
  readonly alone: boolean;
  readonly admit: (leave: () => void) => void;
  readonly turnAway: (reason: Error) => void;
}

/** A model of which no job has come for this long needs no room kept for it. */
const REMEMBERED_MS = 60_000;

/**
 * @param places jobs in work at once
 * @param now milliseconds on a clock that never goes back
 */
export function createIntake(places: number, now: () => number = () => performance.now()): Intake {
  const inside = new Set<string>();
  const held = new Map<string, number>();
  const lastSeen = new Map<string, number>();
  let waiting: Waiting[] = [];
  let loner = false;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // every job that stands aside listens

  const heldBy = (model: string) => held.get(model) ?? 0;

  function leave({ jobId, model, alone }: Waiting): void {
    inside.delete(jobId);
    if (alone) loner = false;
    if (heldBy(model) > 1) held.set(model, heldBy(model) - 1);
    else held.delete(model);
    admitNext();
  }

  function admitNext(): void {
    while (inside.size < places) {
      const next = nextIn();
      if (!next) return;
      waiting.splice(waiting.indexOf(next), 1);
      inside.add(next.jobId);
      loner = next.alone;
      held.set(next.model, heldBy(next.model) + 1);
      next.admit(() => leave(next));
    }
  }

  /** The longest waiting of the model that holds the fewest places; who must be alone goes before, when all have left. */
  function nextIn(): Waiting | undefined {
    if (loner) return undefined;
    const alone = waiting.find((one) => one.alone);
    if (alone) return inside.size === 0 ? alone : undefined;
    const most = mostForOneModel();
    let best: Waiting | undefined;
    for (const one of waiting) {
      if (inside.has(one.jobId) || heldBy(one.model) >= most) continue;
      if (!best || heldBy(one.model) < heldBy(best.model)) best = one;
    }
    return best;
  }

  function mostForOneModel(): number {
    for (const [model, at] of lastSeen) if (now() - at > REMEMBERED_MS) lastSeen.delete(model);
    return lastSeen.size > 1 ? Math.max(1, places - Math.floor(places / 4)) : places;
  }

  return {
    enter(jobId, model, alone = false) {
      return new Promise((admit, turnAway) => {
        if (closing.signal.aborted) {
          turnAway(closed());
          return;
        }
        lastSeen.set(model, now());
        waiting.push({ jobId, model, alone, admit, turnAway });
        admitNext();
      });
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
  };
}

function closed(): GivenBack {
  return new GivenBack('the worker takes no more jobs');
}
