import type { Claimant } from '../domain/job.js';
import { waitUnless } from '../domain/signals.js';
import { TenantTurns } from './tenant-turns.js';

/** How many interactive requests may be served in succession while others wait. */
const INTERACTIVE_IN_A_ROW = 3;

/**
 * A queue that serves interactive requests before the others. After three interactive ones in succession it serves one of
 * the others, so that these are slow but never starve. Within each kind, tenants take turns (`TenantTurns`), and each
 * tenant's requests are served in order of arrival.
 * @template A what is known about a waiting request
 * @template G what it receives when it is served
 */
export interface WaitQueue<A, G> {
  readonly length: number;
  /**
   * Among the tenants with a request that has waited too long, the one whose turn it is; of its requests, the one that has
   * waited longest, whatever its priority.
   */
  late(isLate: (about: A) => boolean): A | undefined;
  /** Whether the tenant of one request has its turn before the tenant of another. */
  isAhead(one: A, of: A): boolean;
  /** @throws the signal's reason */
  wait(about: A, signal: AbortSignal): Promise<G>;
  /**
   * Serves the first request in turn that can be served now.
   * @returns whether there was one
   */
  serve(can: (about: A) => boolean, give: (about: A) => G): boolean;
}

interface Waiting<A, G> {
  readonly about: A;
  readonly admit: (given: G) => void;
}

/** Waiting requests by tenant, each tenant's in order of arrival; no tenant is empty. */
type ByTenant<A, G> = Map<string, Set<Waiting<A, G>>>;

/** @param onChange called when a request starts to wait or stops waiting, since others may then be served */
export function createWaitQueue<A extends Claimant, G>(onChange: () => void): WaitQueue<A, G> {
  /** In order of arrival. */
  const all = new Set<Waiting<A, G>>();
  const waiting: Readonly<Record<Claimant['priority'], ByTenant<A, G>>> = { interactive: new Map(), batch: new Map() };
  const turns = new TenantTurns();
  let inARow = 0;

  function add(one: Waiting<A, G>): void {
    const { priority, tenant = '' } = one.about;
    const ofTenant = waiting[priority].get(tenant) ?? new Set();
    waiting[priority].set(tenant, ofTenant.add(one));
    all.add(one);
  }

  function remove(one: Waiting<A, G>): void {
    const { priority, tenant = '' } = one.about;
    const ofTenant = waiting[priority].get(tenant);
    ofTenant?.delete(one);
    if (ofTenant?.size === 0) waiting[priority].delete(tenant);
    all.delete(one);
  }

  /** The first request in turn that can be served, of one kind. */
  function firstOf(tenants: ByTenant<A, G>, can: (about: A) => boolean): Waiting<A, G> | undefined {
    for (const requests of inTurn(tenants, turns)) {
      for (const one of requests) if (can(one.about)) return one;
    }
    return undefined;
  }

  return {
    get length() {
      return all.size;
    },
    late(isLate) {
      let first: A | undefined;
      for (const { about } of all) {
        if (isLate(about) && (!first || turns.lastTurn(about) < turns.lastTurn(first))) first = about;
      }
      return first;
    },
    isAhead: (one, of) => turns.lastTurn(one) < turns.lastTurn(of),
    wait: (about, signal) =>
      waitUnless<G>(signal, ({ resolve }) => {
        const one = { about, admit: resolve };
        add(one);
        onChange();
        return () => {
          remove(one);
          onChange();
        };
      }),
    serve(can, give) {
      const { interactive, batch } = waiting;
      const [first, second] = inARow < INTERACTIVE_IN_A_ROW ? [interactive, batch] : [batch, interactive];
      const next = firstOf(first, can) ?? firstOf(second, can);
      if (!next) return false;
      remove(next);
      inARow = next.about.priority === 'interactive' && batch.size > 0 ? inARow + 1 : 0;
      turns.served(next.about);
      next.admit(give(next.about));
      return true;
    },
  };
}

/** The requests of each tenant, in the order of the tenants' turns. */
function inTurn<A, G>(tenants: ByTenant<A, G>, turns: TenantTurns): Iterable<ReadonlySet<Waiting<A, G>>> {
  if (tenants.size < 2) return tenants.values();
  const last = ([tenant]: readonly [string, unknown]) => turns.lastTurn({ tenant });
  return [...tenants].sort((a, b) => last(a) - last(b)).map(([, requests]) => requests);
}
