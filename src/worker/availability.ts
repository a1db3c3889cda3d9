import type { Need } from '../domain/errors.js';
import type { Job } from '../domain/job.js';
import type { ModelServer } from '../domain/ports.js';
import { objectRef, parsePrefix } from '../domain/uri.js';
import type { Buckets } from './buckets.js';
import type { Circuits } from './circuits.js';
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
  /** When this worker last used it with success, by `Date.now()`. */
  usedAt(need: Need): number | undefined;
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
  /** By model. Only models that have answered are in it, so jobs that name others do not fill it. */
  const answeredAt = new Map<string, number>();

  function brokenBucket(needs: readonly Need[]): Broken | undefined {
    for (const need of needs) {
      if (need.kind !== 'bucket') continue;
      const reason = buckets.trouble(need.name, need.access ?? 'read');
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
    usedAt: (need) =>
      need.kind === 'model' ? answeredAt.get(need.name) : buckets.usedAt(need.name, need.access ?? 'read'),
    watch: (models) =>
      withInfer(models, async (request, signal) => {
        const result = await models.infer(request, signal);
        answeredAt.set(request.model, Date.now());
        return result;
      }),
  };
}

function modelsOf(needs: readonly Need[]): string[] {
  return needs.filter(({ kind }) => kind === 'model').map(({ name }) => name);
}

/** What a job needs, in the order in which it needs it. Where its result goes is checked before anything is computed. */
export function needsOf({ input, output, operations }: Job, places: NeededPlaces): Need[] {
  const { uri, prefix = places.outputPrefix } = output;
  const outputBucket = uri === undefined ? bucketOf(prefix) : objectRef(uri).bucket;
  const state = bucketOf(places.statePrefix);
  const models = [...new Set(operations.map(({ model }) => model))];
  return [
    { kind: 'bucket', name: state, access: 'read' },
    { kind: 'bucket', name: state, access: 'create' },
    { kind: 'bucket', name: objectRef(input.uri).bucket, access: 'read' },
    { kind: 'bucket', name: outputBucket, access: 'create' },
    ...models.map((name): Need => ({ kind: 'model', name })),
  ];
}

export interface NeededPlaces {
  readonly statePrefix: string;
  /** Of results, for jobs that name no place. */
  readonly outputPrefix: string;
}

function bucketOf(prefix: string): string {
  const parsed = parsePrefix(prefix);
  if (typeof parsed === 'string') throw new TypeError(`${prefix}: ${parsed}`);
  return parsed.bucket;
}

/** As messages that are put back name it. */
export function needLabel(need: Need): string {
  return need.kind === 'model' ? `model ${need.name}` : `${need.access ?? 'read'} bucket ${need.name}`;
}
