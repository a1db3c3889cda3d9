import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelContract, VersionContract } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import type { Operation, ParameterValue } from '../domain/job.js';
import type { ModelServer } from '../domain/ports.js';
import type { Routes } from '../domain/routes.js';
import { checkParameters } from './parameters.js';

/** An operation with the model and version that will serve it. */
export interface Routed {
  readonly operation: Operation;
  readonly model: ModelContract;
  readonly version: string;
  readonly contract: VersionContract;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

export interface RouteOptions {
  readonly routes: Routes;
  /** How long to wait for a model that is known but not ready, in milliseconds. */
  readonly waitMs: number;
}

const POLL_MS = 250;

/**
 * Finds the model and version for every operation, and checks the parameters against the model's own schema.
 * @throws JobError `UNKNOWN_MODEL`, `UNKNOWN_VERSION`, `INVALID_PARAMETERS`; `MODEL_UNAVAILABLE` for a model that the
 * server knows but that did not become ready in time
 */
export async function route(
  operations: readonly Operation[],
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed[]> {
  const routed: Routed[] = [];
  for (const operation of operations) {
    const model = await findModel(operation.model, models, options.waitMs, signal);
    const [version, contract] = await findVersion(operation, model, models, options, signal);
    const parameters = operation.parameters ?? {};
    checkParameters(operation.model, contract.parameters, parameters);
    routed.push({ operation, model, version, contract, parameters });
  }
  return routed;
}

async function findModel(
  name: string,
  models: ModelServer,
  waitMs: number,
  signal: AbortSignal,
): Promise<ModelContract> {
  const giveUpAt = performance.now() + waitMs;
  let found = models.contracts().get(name);
  while (!found) {
    await models.refresh(signal);
    found = models.contracts().get(name);
    if (found) break;
    const reason = models.unready().get(name);
    if (reason === undefined) {
      const known = [...models.contracts().keys()].sort().join(', ');
      throw new JobError('UNKNOWN_MODEL', `model ${name}: expected one of ${known || 'none'}`);
    }
    if (performance.now() + POLL_MS > giveUpAt) {
      throw new JobError('MODEL_UNAVAILABLE', `model ${name} is not ready: ${reason}`, { stage: 'route' });
    }
    await sleep(POLL_MS, undefined, { signal });
  }
  return found;
}

async function findVersion(
  operation: Operation,
  model: ModelContract,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<[string, VersionContract]> {
  let versions = model.versions;
  if (operation.version !== undefined && !versions.has(operation.version)) {
    await models.refresh(signal);
    versions = models.contracts().get(operation.model)?.versions ?? versions;
  }
  const preferred = operation.version ?? options.routes.defaultVersion(operation.model);
  const version = preferred !== undefined && versions.has(preferred) ? preferred : newest(versions);
  const contract = version === undefined ? undefined : versions.get(version);
  if (!contract || version === undefined || (operation.version !== undefined && version !== operation.version)) {
    const known = [...versions.keys()].join(', ');
    throw new JobError(
      'UNKNOWN_VERSION',
      `model ${operation.model}: version ${operation.version ?? '(any)'}: expected one of ${known}`,
    );
  }
  return [version, contract];
}

/** Triton's own default: the greatest version number. */
function newest(versions: ReadonlyMap<string, VersionContract>): string | undefined {
  return [...versions.keys()].at(-1);
}
