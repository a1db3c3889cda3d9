/** Which job gets the next place: the rules of the intake, without its promises and timers. */
import type { Priority } from '../domain/job.js';
import type { WaitingJobs } from './waiting-jobs.js';

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

/** @returns the job that enters next; undefined if none may enter now */
export function nextToEnter<E extends Entrant>(waiting: WaitingJobs<E>, occupancy: Occupancy): E | undefined {
  const { places, inside, before } = occupancy;
  if (inside.length >= places || inside.some(({ alone }) => alone)) return undefined;
  const firsts = waiting.firsts();
  const [loner] = firsts.filter(({ alone }) => alone).sort(byArrival);
  const candidates = waiting.candidates(new Set(inside.map(({ jobId }) => jobId))).filter(({ alone }) => !alone);
  if (!loner) return longestOfSmallest(candidates, occupancy);
  const isEarlier = ({ alone, number }: E) => !alone && number <= before;
  if (firsts.some(isEarlier)) return longestOfSmallest(candidates.filter(isEarlier), occupancy);
  return inside.length === 0 ? loner : undefined;
}

/** The job that has waited longest, of the model that holds the fewest places. Interactive jobs go first. */
function longestOfSmallest<E extends Entrant>(candidates: readonly E[], occupancy: Occupancy): E | undefined {
  const { inside } = occupancy;
  const held = new Map<string, number>();
  for (const { model } of inside) held.set(model, heldBy(held, model) + 1);
  const most = mostForOneModel(occupancy);
  const isFull = inside.filter(({ priority }) => priority === 'batch').length >= mostForBatch(occupancy);
  // A model's limit protects the places of other models; the places reserved for interactive jobs are not among those.
  const mayEnter = ({ priority, model }: E) => priority === 'interactive' || (!isFull && heldBy(held, model) < most);
  const isBatch = ({ priority }: E) => Number(priority === 'batch');
  const inTurn = (a: E, b: E) =>
    isBatch(a) - isBatch(b) || heldBy(held, a.model) - heldBy(held, b.model) || byArrival(a, b);
  return candidates.filter(mayEnter).sort(inTurn)[0];
}

const byArrival = (a: Entrant, b: Entrant) => a.number - b.number;
const heldBy = (held: ReadonlyMap<string, number>, model: string) => held.get(model) ?? 0;

function mostForOneModel({ places, models }: Occupancy): number {
  return models > 1 ? Math.max(1, places - Math.floor(places / 4)) : places;
}

function mostForBatch({ places, interactive }: Occupancy): number {
  if (places < MANY_PLACES) return places;
  return places - (interactive ? Math.floor(places * INTERACTIVE_SHARE) : 1);
}
