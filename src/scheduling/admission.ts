/** Which job gets the next place: the rules of the intake, without its promises and timers. */
import type { Priority } from '../domain/job.js';

/** A job that wants a place, or has one. */
export interface Entrant {
  readonly jobId: string;
  /** Model of the job's first operation. */
  readonly model: string;
  readonly priority: Priority;
  /** No other job is inside while this one is. */
  readonly alone: boolean;
  /** Position in the order of arrival. */
  readonly number: number;
}

/** What the rules know besides the jobs that wait. */
export interface Occupancy {
  /** Most jobs inside at once. */
  readonly places: number;
  readonly inside: readonly Entrant[];
  /** Models that jobs asked for lately. */
  readonly models: number;
  /** Whether interactive jobs arrived lately. */
  readonly interactive: boolean;
  /** Jobs that arrived up to this number enter before the next job that must run alone. */
  readonly before: number;
}

/** With fewer places than this, none is reserved for interactive jobs. */
const MANY_PLACES = 16;
/** Share of the places reserved for interactive jobs while such jobs arrive. */
const INTERACTIVE_SHARE = 1 / 8;

/**
 * @param waiting in the order of arrival
 * @returns the job that enters next; undefined if none may enter now
 */
export function nextToEnter<E extends Entrant>(waiting: readonly E[], occupancy: Occupancy): E | undefined {
  const { places, inside, before } = occupancy;
  if (inside.length >= places || inside.some(({ alone }) => alone)) return undefined;
  const loner = waiting.find(({ alone }) => alone);
  if (!loner) return longestOfSmallest(waiting, occupancy);
  const earlier = waiting.filter(({ alone, number }) => !alone && number <= before);
  if (earlier.length > 0) return longestOfSmallest(earlier, occupancy);
  return inside.length === 0 ? loner : undefined;
}

/** The job that has waited longest, of the model that holds the fewest places. Interactive jobs go first. */
function longestOfSmallest<E extends Entrant>(candidates: readonly E[], occupancy: Occupancy): E | undefined {
  const { inside } = occupancy;
  const ids = new Set(inside.map(({ jobId }) => jobId));
  const held = new Map<string, number>();
  for (const { model } of inside) held.set(model, heldBy(held, model) + 1);
  const most = mostForOneModel(occupancy);
  const isFull = inside.filter(({ priority }) => priority === 'batch').length >= mostForBatch(occupancy);
  let best: E | undefined;
  for (const one of candidates) {
    const isInteractive = one.priority === 'interactive';
    // A model's limit protects the places of other models; the places reserved for interactive jobs are not among those.
    if (ids.has(one.jobId) || (!isInteractive && (isFull || heldBy(held, one.model) >= most))) continue;
    if (!best || (isInteractive && best.priority === 'batch')) best = one;
    else if (one.priority === best.priority && heldBy(held, one.model) < heldBy(held, best.model)) best = one;
  }
  return best;
}

const heldBy = (held: ReadonlyMap<string, number>, model: string) => held.get(model) ?? 0;

function mostForOneModel({ places, models }: Occupancy): number {
  return models > 1 ? Math.max(1, places - Math.floor(places / 4)) : places;
}

function mostForBatch({ places, interactive }: Occupancy): number {
  if (places < MANY_PLACES) return places;
  return places - (interactive ? Math.floor(places * INTERACTIVE_SHARE) : 1);
}
