/** Merges our lifecycle rules into a bucket's other rules. Pure; the requests are in admin.ts. */

/** https://cloud.google.com/storage/docs/lifecycle#configuration. Other people's rules have more conditions. */
export interface LifecycleRule {
  readonly action: { readonly type: string; readonly storageClass?: string };
  readonly condition: {
    readonly age?: number;
    readonly isLive?: boolean;
    readonly createdBefore?: string;
    readonly matchesPrefix?: readonly string[];
    readonly matchesSuffix?: readonly string[];
    readonly daysSinceNoncurrentTime?: number;
    readonly noncurrentTimeBefore?: string;
    readonly numNewerVersions?: number;
  };
}

/** How long objects are kept. */
export interface Keep {
  /** Folder within the bucket, without a slash at its end; empty for the whole bucket. */
  readonly folder: string;
  /** Only objects with these name suffixes; all if empty. */
  readonly suffixes: readonly string[];
  readonly days: number | 'for ever';
  /** No other rule may delete them before this many days. */
  readonly leastDays?: number;
}

export interface MergedRules {
  readonly rules: readonly LifecycleRule[];
  /** `found → wanted`; empty if the rules stay as they are. */
  readonly differences: readonly string[];
  /** Sentences about rules that are not ours. */
  readonly warnings: readonly string[];
}

/**
 * Treats each rule as ours that deletes exactly our prefix by age alone, regardless of who wrote it. Two such rules for one
 * place would act as one and mislead the reader. All other rules stay as they are, in their order.
 */
export function mergeRules(found: readonly LifecycleRule[], wanted: readonly Keep[]): MergedRules {
  const others = found.filter((rule) => !wanted.some((keep) => isFor(rule, keep)));
  const ours = wanted.flatMap((keep) => {
    const there = found.filter((rule) => isFor(rule, keep));
    // Keep the found rule, so that an equal one is not sent with another spelling.
    if (there.length === 1 && inWords(there) === wish(keep)) return there;
    return keep.days === 'for ever' ? [] : [ruleFor(keep, keep.days)];
  });
  return {
    rules: [...others, ...ours],
    differences: wanted.flatMap((keep) => {
      const now = inWords(found.filter((rule) => isFor(rule, keep)));
      return now === wish(keep) ? [] : [`${placeOf(keep)}: ${now} → ${wish(keep)}`];
    }),
    warnings: wanted.flatMap((keep) =>
      others
        .filter((rule) => deletesSooner(rule, keep))
        .map(
          (rule) =>
            `a rule that is not imagen's deletes ${placeOf(keep)} sooner than after ${keep.leastDays ?? 0} days: ${JSON.stringify(rule)}`,
        ),
    ),
  };
}

/** `records/` or `the whole bucket`. */
export const placeOf = ({ folder }: Keep): string => (folder === '' ? 'the whole bucket' : `${folder}/`);

export const wish = (keep: Keep): string => (keep.days === 'for ever' ? 'kept' : inWords([ruleFor(keep, keep.days)]));

function ruleFor({ folder, suffixes }: Keep, days: number): LifecycleRule {
  return {
    action: { type: 'Delete' },
    condition: {
      age: days,
      ...(folder === '' ? {} : { matchesPrefix: [`${folder}/`] }),
      ...(suffixes.length === 0 ? {} : { matchesSuffix: [...suffixes] }),
    },
  };
}

const OUR_CONDITIONS = ['age', 'matchesPrefix', 'matchesSuffix'];

function isFor({ action, condition }: LifecycleRule, { folder }: Keep): boolean {
  const prefixes = condition.matchesPrefix ?? [];
  return (
    action.type === 'Delete' &&
    condition.age !== undefined &&
    Object.keys(condition).every((key) => OUR_CONDITIONS.includes(key)) &&
    (folder === '' ? prefixes.length === 0 : prefixes.length === 1 && prefixes[0] === `${folder}/`)
  );
}

function inWords(rules: readonly LifecycleRule[]): string {
  if (rules.length === 0) return 'kept';
  return rules
    .map(({ condition }) => {
      const suffixes = (condition.matchesSuffix ?? []).map((suffix) => `*${suffix}`).sort();
      const which = suffixes.length === 0 ? '' : `${suffixes.join(', ')} `;
      return `${which}deleted after ${condition.age ?? 0} days`;
    })
    .join('; ');
}

/** Conditions that only apply to old versions of objects. Records have one version. */
const OF_OLD_VERSIONS = ['daysSinceNoncurrentTime', 'noncurrentTimeBefore', 'numNewerVersions'] as const;

function deletesSooner({ action, condition }: LifecycleRule, { folder, suffixes, leastDays }: Keep): boolean {
  if (leastDays === undefined || action.type !== 'Delete') return false;
  if (condition.isLive === false || OF_OLD_VERSIONS.some((key) => condition[key] !== undefined)) return false;
  if ((condition.age ?? 0) >= leastDays) return false;
  const ours = folder === '' ? '' : `${folder}/`;
  const prefixes = condition.matchesPrefix ?? [''];
  const endings = condition.matchesSuffix ?? [''];
  return (
    prefixes.some((prefix) => prefix.startsWith(ours) || ours.startsWith(prefix)) &&
    (suffixes.length === 0 || endings.some((end) => suffixes.some((ours) => ours.endsWith(end) || end.endsWith(ours))))
  );
}
