/** Plans and makes changes to buckets, with their access and lifecycle. */
import { difference, differing, type Property, type SetupStep, StepFailed } from '../setup-step.js';
import { type AdminApi, statusOf } from './admin-api.js';
import { type Keep, type LifecycleRule, mergeRules, placeOf, wish } from './lifecycle.js';

/** Some properties of https://cloud.google.com/storage/docs/json_api/v1/buckets#resource. */
interface Bucket {
  readonly iamConfiguration?: {
    readonly uniformBucketLevelAccess?: { readonly enabled?: boolean };
    readonly publicAccessPrevention?: string;
  };
  readonly lifecycle?: { readonly rule?: readonly LifecycleRule[] } | null;
  readonly metageneration?: string;
}

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
const ACCESS: readonly Property<Bucket, Bucket>[] = [
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

export async function planBucket(api: AdminApi, want: WantedBucket): Promise<SetupStep> {
  const { name, keep, location } = want;
  const step = { kind: 'bucket' as const, name, obstacles: [] };
  const found = await lookAt(api, name);
  if (!found) {
    const { rules } = mergeRules([], keep);
    const creation = {
      name,
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
          await api.call('POST', `/b?project=${encodeURIComponent(api.projectId)}`, creation);
        } catch (error) {
          if (statusOf(error) !== 409) throw new StepFailed(what, error);
          // Another process created it concurrently, possibly with other settings.
          await (await planBucket(api, want)).apply();
        }
      },
    };
  }

  const wrong = want.compare.access ? differing(ACCESS, found) : [];
  const rules = mergeRules(found.lifecycle?.rule ?? [], want.compare.lifecycle ? keep : []);
  const details = [...wrong.map((property) => difference(property, found)), ...rules.differences];
  const patch: Bucket = {
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
      const unchanged = found.metageneration === undefined ? '' : `?ifMetagenerationMatch=${found.metageneration}`;
      const what = `change bucket ${name}`;
      try {
        await api.call('PATCH', `/b/${name}${unchanged}`, patch);
      } catch (error) {
        throw new StepFailed(
          what,
          statusOf(error) === 412 ? 'somebody else has just changed it: run this again' : error,
        );
      }
    },
  };
}

async function lookAt(api: AdminApi, name: string): Promise<Bucket | undefined> {
  try {
    return await api.call<Bucket>('GET', `/b/${name}`);
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw new StepFailed(`look at bucket ${name}`, error);
  }
}
