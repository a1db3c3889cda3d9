import type { ModelContract } from '../domain/contract.js';
import type { ModelNeed } from '../domain/errors.js';
import type { Arm } from '../domain/experiment.js';
import type { Routes } from '../domain/routes.js';

export interface VersionRules {
  readonly routes: Pick<Routes, 'armOf' | 'defaultVersion'>;
  /** Whether an arm was stopped and gets no more jobs. */
  readonly stopped: (arm: Arm) => boolean;
}

/**
 * The version that a job would get now, as `route` chooses it (pipeline/route.ts). The worker asks before it routes the job,
 * so that a version that is away holds up only its own jobs.
 * @returns undefined if the model is not served
 */
export function versionFor(
  { name, version, key }: ModelNeed,
  contracts: ReadonlyMap<string, Pick<ModelContract, 'versions'>>,
  { routes, stopped }: VersionRules,
): string | undefined {
  if (version !== undefined) return version;
  const served = contracts.get(name)?.versions;
  const arm = key === undefined ? undefined : routes.armOf(name, key);
  if (arm && !stopped(arm) && served?.has(arm.version)) return arm.version;
  const preferred = routes.defaultVersion(name);
  return preferred !== undefined && served?.has(preferred) ? preferred : [...(served?.keys() ?? [])].at(-1);
}
