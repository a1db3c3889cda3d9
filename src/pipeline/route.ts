import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelContract, VersionContract } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import type { Arm } from '../domain/experiment.js';
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
  /** Of the experiment that chose the version. */
  readonly arm?: Arm;
  /** The same on the default version, in no arm: for what the arm's version cannot do, or fails at. */
  readonly usual?: Routed;
}

export interface RouteOptions {
  readonly routes: Routes;
  /** By which the job falls on an arm; without it, it is in no experiment. */
  readonly key?: string;
  /** Whether an arm gets no more jobs. */
  readonly stopped?: (arm: Arm) => boolean;
  /** How long to wait for a model that is known but not ready, in milliseconds. */
  readonly waitMs: number;
}

const POLL_MS = 250;

/**
 * Finds the model and version for every operation, and checks the parameters against the model's own schema. An operation
 * that names no version may be on an arm of an experiment, if that can serve it.
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
    const parameters = operation.parameters ?? {};
    const arm = operation.version === undefined ? armFor(operation.model, options) : undefined;
    routed.push(
      (arm && onArm(arm, { operation, model, parameters })) ??
        (await onVersion({ operation, model, parameters }, models, options, signal)),
    );
  }
  return routed;
}

type Asked = Pick<Routed, 'operation' | 'model' | 'parameters'>;

async function onVersion(
  asked: Asked,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed> {
  const [version, contract] = await findVersion(asked.operation, asked.model, models, options, signal);
  checkParameters(asked.operation.model, contract.parameters, asked.parameters);
  return { ...asked, version, contract };
}

function armFor(model: string, { routes, key, stopped }: RouteOptions): Arm | undefined {
  const arm = key === undefined ? undefined : routes.armOf(model, key);
  return arm && stopped?.(arm) ? undefined : arm;
}

/** @returns undefined where the arm's version is not served, or does not take the job's parameters */
function onArm(arm: Arm, asked: Asked): Routed | undefined {
  const own = acceptedBy(arm.version, asked);
  if (!own) return undefined;
  const usual = arm.defaultVersion === arm.version ? undefined : acceptedBy(arm.defaultVersion, asked);
  return { ...own, arm, ...(usual ? { usual } : {}) };
}

function acceptedBy(version: string, asked: Asked): Routed | undefined {
  const contract = asked.model.versions.get(version);
  if (!contract) return undefined;
  try {
    checkParameters(asked.operation.model, contract.parameters, asked.parameters);
  } catch (error) {
    if (error instanceof JobError) return undefined;
    throw error;
  }
  return { ...asked, version, contract };
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
