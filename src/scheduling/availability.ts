import type { Need } from '../domain/errors.js';
import type { ModelServer } from '../domain/ports.js';
import type { Buckets } from './buckets.js';
import type { Circuits } from './circuits.js';
import { needLabel } from './needs.js';
import { withInfer } from './with-infer.js';

/** Whether what jobs need can be used now: models, and buckets. */
export interface Availability {
  /** The first of these that cannot be used, with the reason. */
  broken(needs: readonly Need[]): Broken | undefined;
  /**
   * As `broken`, but lets one job pass from time to time where only a job can find out that a model is back. Buckets are
   * checked without one.
   */
  refuse(needs: readonly Need[]): Broken | undefined;
  /** Whether `refuse` would let a job that needs this pass now. */
  mayTry(need: Need): boolean;
  /**
   * When this worker last used it with success, by `Date.now()`. A model counts as used with each of its versions, a
   * version only with itself. Of single objects nothing is known.
   * @param label as `needLabel` names it
   */
  usedAt(label: string): number | undefined;
  /** The same server, whose answers tell when models were last used. */
  watch(models: ModelServer): ModelServer;
}

export interface Broken {
  readonly need: Need;
  readonly reason: string;
}

export interface AvailabilityParts {
  readonly circuits: Pick<Circuits, 'broken' | 'refuse' | 'mayTry'>;
  readonly buckets: Pick<Buckets, 'trouble' | 'usedAt'>;
}

export function createAvailability({ circuits, buckets }: AvailabilityParts): Availability {
  /** By label of models and of versions. Only those that have answered are in it, so jobs that name others do not fill it. */
  const answeredAt = new Map<string, number>();

  function brokenBucket(needs: readonly Need[]): Broken | undefined {
    for (const need of needs) {
      if (need.kind !== 'bucket') continue;
      const reason = buckets.trouble(need);
      if (reason !== undefined) return { need, reason };
    }
    return undefined;
  }

  const ofModel = (found: { model: string; reason: string } | undefined): Broken | undefined =>
    found && { need: { kind: 'model', name: found.model }, reason: found.reason };

  return {
    broken: (needs) => brokenBucket(needs) ?? ofModel(circuits.broken(modelsOf(needs))),
    refuse: (needs) => brokenBucket(needs) ?? ofModel(circuits.refuse(modelsOf(needs))),
    mayTry: (need) =>
      need.kind === 'model'
        ? circuits.broken([need.name]) === undefined || circuits.mayTry(need.name)
        : brokenBucket([need]) === undefined,
    usedAt: (label) => answeredAt.get(label) ?? buckets.usedAt(label),
    watch: (models) =>
      withInfer(models, async (request, signal) => {
        const result = await models.infer(request, signal);
        const model = { kind: 'model', name: request.model } as const;
        for (const need of [model, { ...model, version: request.version }]) answeredAt.set(needLabel(need), Date.now());
        return result;
      }),
  };
}

function modelsOf(needs: readonly Need[]): string[] {
  return needs.filter(({ kind }) => kind === 'model').map(({ name }) => name);
}
