/** Plans and makes changes to buckets, with their access and lifecycle. */
import type { BucketMetadata, Storage } from '@google-cloud/storage';
import { difference, differing, type Property, type Step, StepFailed } from '../plan.js';
import { within } from '../within.js';
import { httpStatus } from './errors.js';
import { type Keep, mergeRules, placeOf, wish } from './lifecycle.js';

/** Time limit for one call, in milliseconds. Creating a bucket is slow. */
const CALL_LIMIT_MS = 30_000;

export interface WantedBucket {
  readonly name: string;
  /** Location of a new bucket, such as `EU` or `us-central1`; the service's default when absent. */
  readonly location?: string | undefined;
  readonly keep: readonly Keep[];
  /** Whether a new bucket keeps deleted objects for a while, as the service does by default. */
  readonly softDelete: boolean;
  /**
   * Which settings of an existing bucket must match. The location cannot change, and soft deletion is the owner's decision,
   * so neither is compared.
   */
  readonly compare: { readonly access: boolean; readonly lifecycle: boolean };
}

/** These settings are read and sent together, so that a patch of one does not depend on how the service merges them. */
const CLOSED = {
  iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
};
const ACCESS: readonly Property<BucketMetadata, BucketMetadata>[] = [
  {
    name: 'rights',
    wanted: 'of the whole bucket',
    found: ({ iamConfiguration: found }) =>
      found?.uniformBucketLevelAccess?.enabled ? 'of the whole bucket' : 'of each object (ACLs)',
    patch: CLOSED,
  },
  {
    name: 'public access',
    wanted: 'prevented',
    found: ({ iamConfiguration: found }) =>
      found?.publicAccessPrevention === 'enforced' ? 'prevented' : 'can be granted',
    patch: CLOSED,
  },
];

export async function planBucket(storage: Storage, want: WantedBucket): Promise<Step> {
  const { name, keep, location } = want;
  const bucket = storage.bucket(name);
  const step = { kind: 'bucket' as const, name, obstacles: [] };
  const found = await lookAt(storage, name);
  if (!found) {
    const { rules } = mergeRules([], keep);
    const creation = {
      ...CLOSED,
      ...(location === undefined ? {} : { location }),
      ...(rules.length === 0 ? {} : { lifecycle: { rule: [...rules] } }),
      ...(want.softDelete ? {} : { softDeletePolicy: { retentionDurationSeconds: 0 } }),
    };
    return {
      ...step,
      ...{ todo: 'create', warnings: [] },
      details: [
        ...(location === undefined ? [] : [`location: ${location}`]),
        ...ACCESS.map((property) => `${property.name}: ${property.wanted}`),
        ...(want.softDelete ? [] : ['what is deleted: gone at once']),
        ...keep.map((one) => `${placeOf(one)}: ${wish(one)}`),
      ],
      async apply() {
        const what = `create bucket ${name}`;
        try {
          await within(CALL_LIMIT_MS, what, () => storage.createBucket(name, creation));
        } catch (error) {
          if (httpStatus(error) !== 409) throw new StepFailed(what, error);
          // Another process created it concurrently, possibly with other settings.
          await (await planBucket(storage, want)).apply();
        }
      },
    };
  }

  const wrong = want.compare.access ? differing(ACCESS, found) : [];
  const rules = mergeRules(found.lifecycle?.rule ?? [], want.compare.lifecycle ? keep : []);
  const details = [...wrong.map((property) => difference(property, found)), ...rules.differences];
  const patch: BucketMetadata = {
    ...(wrong.length === 0 ? {} : CLOSED),
    ...(rules.differences.length === 0
      ? {}
      : { lifecycle: rules.rules.length === 0 ? null : { rule: [...rules.rules] } }),
  };
  return {
    ...step,
    details,
    todo: details.length === 0 ? 'nothing' : 'update',
    warnings: rules.warnings.map((warning) => `bucket ${name}: ${warning}`),
    async apply() {
      if (details.length === 0) return;
      // The request replaces all rules. It fails if another rule was added in the meantime, so that none is lost.
      const unchanged = found.metageneration === undefined ? {} : { ifMetagenerationMatch: found.metageneration };
      const what = `change bucket ${name}`;
      try {
        await within(CALL_LIMIT_MS, what, () => bucket.setMetadata(patch, unchanged));
      } catch (error) {
        throw new StepFailed(
          what,
          httpStatus(error) === 412 ? 'somebody else has just changed it: run this again' : error,
        );
      }
    },
  };
}

async function lookAt(storage: Storage, name: string): Promise<BucketMetadata | undefined> {
  const what = `look at bucket ${name}`;
  try {
    const [found] = await within(CALL_LIMIT_MS, what, () => storage.bucket(name).getMetadata());
    return found;
  } catch (error) {
    if (httpStatus(error) === 404) return undefined;
    throw new StepFailed(what, error);
  }
}
