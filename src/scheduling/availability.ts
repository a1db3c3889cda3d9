import type { ModelNeed, Need } from '../domain/errors.js';
import type { ModelServer } from '../domain/ports.js';
import type { Buckets } from './buckets.js';
import type { Circuits } from './circuits.js';
import { needLabel } from './needs.js';
import { withInfer } from './with-infer.js';

/** Knows whether the models and buckets that jobs need are available now. */
export interface Availability {
  /** The first unavailable need, with the reason. */
  broken(needs: readonly Need[]): Broken | undefined;
  /**
   * Like `broken`, but lets one job pass from time to time if only a job can find out that a model is back. The worker
   * checks buckets without a job.
   */
  refuse(needs: readonly Need[]): Broken | undefined;
  /** Whether `refuse` would let a job with this need pass now. */
  mayTry(need: Need): boolean;
  /**
   * When this worker last used the need successfully, by `Date.now()`. A use of any version counts for its model. For a
   * version, only its own uses count. Undefined for single objects.
   * @param label from `needLabel`
   */
  usedAt(label: string): number | undefined;
  /** Wraps the server to record when each model last answered. */
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
  /**
   * By label of models and of versions. Holds only those that have answered, so jobs that name unknown models do not fill
   * it.
   */
  const answeredAt = new Map<string, number>();

  function brokenBucket(needs: readonly Need[]): Broken | undefined {
    for (const need of needs) {
      if (need.kind !== 'bucket') continue;
      const reason = buckets.trouble(need);
      if (reason !== undefined) return { need, reason };
    }
    return undefined;
  }

  return {
    broken: (needs) => brokenBucket(needs) ?? circuits.broken(modelsOf(needs)),
    refuse: (needs) => brokenBucket(needs) ?? circuits.refuse(modelsOf(needs)),
    mayTry: (need) =>
      need.kind === 'model'
        ? circuits.broken([need]) === undefined || circuits.mayTry(need)
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

function modelsOf(needs: readonly Need[]): ModelNeed[] {
  return needs.filter((need) => need.kind === 'model');
}
