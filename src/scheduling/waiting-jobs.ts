import type { Claimant } from '../domain/job.js';

/** A job that wants a place, or has one. */
export interface Entrant extends Claimant {
  readonly jobId: string;
  /** Model of the job's first operation. */
  readonly model: string;
  /** No other job is inside while this one is. */
  readonly alone: boolean;
  /** Position in the order of arrival. */
  readonly number: number;
}

/**
 * The jobs that wait for a place, grouped by the properties that the rules of admission compare. Within a group the
 * order of arrival decides, so the rules need not look at every job of a long backlog.
 */
export class WaitingJobs<E extends Entrant> {
  /** Each group in order of arrival; no group is empty. */
  readonly #groups = new Map<string, Set<E>>();
  readonly #byId = new Map<string, Set<E>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(one: E): void {
    addTo(this.#groups, groupOf(one), one);
    addTo(this.#byId, one.jobId, one);
    this.#size++;
  }

  delete(one: E): void {
    if (!this.#byId.get(one.jobId)?.has(one)) return;
    deleteFrom(this.#groups, groupOf(one), one);
    deleteFrom(this.#byId, one.jobId, one);
    this.#size--;
  }

  clear(): void {
    this.#groups.clear();
    this.#byId.clear();
    this.#size = 0;
  }

  /** All deliveries of a job. */
  ofJob(jobId: string): Iterable<E> {
    return this.#byId.get(jobId) ?? [];
  }

  *[Symbol.iterator](): Iterator<E> {
    for (const group of this.#groups.values()) yield* group;
  }

  /** The first of each group. */
  firsts(): E[] {
    return this.#firstOfEach(() => true);
  }

  /** The first of each group whose job has no delivery among those inside. */
  candidates(inside: ReadonlySet<string>): E[] {
    return this.#firstOfEach(({ jobId }) => !inside.has(jobId));
  }

  #firstOfEach(fits: (one: E) => boolean): E[] {
    const found: E[] = [];
    for (const group of this.#groups.values()) {
      for (const one of group) {
        if (!fits(one)) continue;
        found.push(one);
        break;
      }
    }
    return found;
  }
}

const groupOf = ({ alone, priority, model, tenant = '' }: Entrant) => `${String(alone)} ${priority} ${model} ${tenant}`;

function addTo<E>(groups: Map<string, Set<E>>, key: string, one: E): void {
  const group = groups.get(key) ?? new Set<E>();
  groups.set(key, group.add(one));
}

function deleteFrom<E>(groups: Map<string, Set<E>>, key: string, one: E): void {
  const group = groups.get(key);
  group?.delete(one);
  if (group?.size === 0) groups.delete(key);
}
