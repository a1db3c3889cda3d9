/** Which job gets the next place: the rules of the intake, without its promises and timers. */
import type { TenantTurns } from './tenant-turns.js';
import type { Entrant, WaitingJobs } from './waiting-jobs.js';

/** What the rules know besides the jobs that wait. */
export interface Occupancy {
  /** Most jobs inside at once. */
  readonly places: number;
  readonly inside: readonly Entrant[];
  /** Models that jobs asked for lately. */
  readonly models: number;
  /** Tenants whose jobs arrived lately; 0 if none of these jobs names one. */
  readonly tenants: number;
  /** When a job of each tenant last entered. */
  readonly turns: Pick<TenantTurns, 'lastTurn'>;
  /** Whether interactive jobs arrived lately. */
  readonly interactive: boolean;
  /** Jobs that arrived up to this number enter before the next job that must run alone. */
  readonly before: number;
}

/** With fewer places than this, none is reserved for interactive jobs, or for another tenant than the one that is there. */
const MANY_PLACES = 16;
/** Share of the places reserved for interactive jobs while such jobs arrive. */
const INTERACTIVE_SHARE = 1 / 8;

/** @returns the job that enters next; undefined if none may enter now */
export function nextToEnter<E extends Entrant>(waiting: WaitingJobs<E>, occupancy: Occupancy): E | undefined {
  const { places, inside, before, turns } = occupancy;
  if (inside.length >= places || inside.some(({ alone }) => alone)) return undefined;
  const firsts = waiting.firsts();
  const byTurn = (a: E, b: E) => turns.lastTurn(a) - turns.lastTurn(b) || byArrival(a, b);
  const [loner] = firsts.filter(({ alone }) => alone).sort(byTurn);
  const candidates = waiting.candidates(new Set(inside.map(({ jobId }) => jobId))).filter(({ alone }) => !alone);
  if (!loner) return longestOfSmallest(candidates, occupancy);
  const isEarlier = ({ alone, number }: E) => !alone && number <= before;
  if (firsts.some(isEarlier)) return longestOfSmallest(candidates.filter(isEarlier), occupancy);
  return inside.length === 0 ? loner : undefined;
}

/**
 * The job that has waited longest, of the tenant that holds the fewest places and has its turn, and there of the model that
 * holds the fewest. Interactive jobs go first.
 */
function longestOfSmallest<E extends Entrant>(candidates: readonly E[], occupancy: Occupancy): E | undefined {
  const { inside, places, turns } = occupancy;
  const [ofModel, ofTenant] = [held(inside, ({ model }) => model), held(inside, tenantOf)];
  const mostBatch = mostForBatch(occupancy);
  const [most, mostOfModel] = [mostForOneTenant(places, occupancy), mostForOneModel(occupancy)];
  const mostBatchOfTenant = mostForOneTenant(mostBatch, occupancy);
  const isFull = inside.filter(({ priority }) => priority === 'batch').length >= mostBatch;
  // A model's limit protects the places of other models; the places reserved for interactive jobs are not among those.
  const mayEnter = (one: E) =>
    one.priority === 'interactive'
      ? ofTenant(one) < most
      : !isFull && ofModel(one) < mostOfModel && ofTenant(one) < mostBatchOfTenant;
  const isBatch = ({ priority }: E) => Number(priority === 'batch');
  const inTurn = (a: E, b: E) =>
    isBatch(a) - isBatch(b) ||
    ofTenant(a) - ofTenant(b) ||
    turns.lastTurn(a) - turns.lastTurn(b) ||
    ofModel(a) - ofModel(b) ||
    byArrival(a, b);
  return candidates.filter(mayEnter).sort(inTurn)[0];
}

const byArrival = (a: Entrant, b: Entrant) => a.number - b.number;
const tenantOf = ({ tenant = '' }: Entrant) => tenant;

/** Counts the jobs inside by a property. @returns the count of those that have the same as a job */
function held(inside: readonly Entrant[], by: (one: Entrant) => string): (one: Entrant) => number {
  const counts = new Map<string, number>();
  for (const one of inside) counts.set(by(one), (counts.get(by(one)) ?? 0) + 1);
  return (one) => counts.get(by(one)) ?? 0;
}

function mostForOneModel({ places, models }: Occupancy): number {
  return models > 1 ? withoutQuarter(places) : places;
}

/** How many of that many places one tenant may hold. A tenant alone leaves only one of many, for the first job of another. */
function mostForOneTenant(of: number, { places, tenants }: Occupancy): number {
  if (tenants > 1) return withoutQuarter(of);
  return tenants === 1 && places >= MANY_PLACES ? of - 1 : of;
}

const withoutQuarter = (places: number) => Math.max(1, places - Math.floor(places / 4));

function mostForBatch({ places, interactive }: Occupancy): number {
  if (places < MANY_PLACES) return places;
  return places - (interactive ? Math.floor(places * INTERACTIVE_SHARE) : 1);
}
