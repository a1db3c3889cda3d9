import type { ModelContract } from '../domain/contract.js';
import type { ModelNeed } from '../domain/errors.js';
import type { Routes } from '../domain/routes.js';
import { armFor, type ArmRules, defaultVersion } from '../pipeline/route.js';

export interface VersionRules extends Pick<ArmRules, 'stopped'> {
  readonly routes: Pick<Routes, 'armOf' | 'defaultVersion'>;
}

/**
 * The version that a job would get now, as `route` chooses it. The worker asks before it routes the job, so that a version
 * that is away holds up only its own jobs.
 * @returns undefined if the model is not served
 */
export function versionFor(
  { name, version, key }: ModelNeed,
  contracts: ReadonlyMap<string, Pick<ModelContract, 'versions'>>,
  rules: VersionRules,
): string | undefined {
  if (version !== undefined) return version;
  const versions = contracts.get(name)?.versions;
  if (!versions) return undefined;
  const arm = armFor(name, { ...rules, key });
  return arm && versions.has(arm.version) ? arm.version : defaultVersion(name, versions, rules.routes);
}
