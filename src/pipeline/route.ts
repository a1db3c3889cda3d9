import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelContract, VersionContract } from '../domain/contract.js';
import { JobError } from '../domain/errors.js';
import type { Arm } from '../domain/experiment.js';
import type { Operation } from '../domain/job.js';
import type { ModelServer } from '../domain/ports.js';
import type { Routes } from '../domain/routes.js';
import { byContractNow } from './contract-now.js';
import { checkParameters } from './parameters.js';
import { reasonToStop } from './retry.js';
import type { Routed } from './routed.js';

/** What decides the arm of a job. */
export interface ArmRules {
  readonly routes: Pick<Routes, 'armOf'>;
  /** Key that assigns the job to an arm. A job without a key is in no experiment. */
  readonly key?: string | undefined;
  /** Whether an arm was stopped and gets no more jobs. */
  readonly stopped?: (arm: Arm) => boolean;
}

export interface RouteOptions extends ArmRules {
  readonly routes: Routes;
  /** How long to wait for a model or version that is not served, even if it is unknown, in milliseconds. */
  readonly waitMs: number;
  /** False to defer the job at once instead. A name counts as unknown only after it was unknown for `waitMs`. */
  readonly patient?: boolean;
  /** Names that earlier jobs waited for in vain. Without it every job waits. */
  readonly unknown?: Unknown;
}

/** Names that Triton does not know, and since when. Jobs wait for an unknown name only once. */
export interface Unknown {
  /** @returns when the name was first unknown, as a value of `performance.now()` */
  since(name: string): number;
  /** Forgets a name that is known after all. */
  found(name: string): void;
}

const POLL_MS = 250;
/** Why the job of an unknown name is deferred, before the name has been unknown for long enough. */
const NOT_YET = 'the server does not know it yet';
/** Limit of names to remember. They come from jobs and may be anything. */
const MOST_UNKNOWN = 1_000;
/** Jobs wait for a name again if none has asked for it for this long. */
const UNKNOWN_FOR_MS = 600_000;

export function createUnknown(now: () => number = () => performance.now()): Unknown {
  const names = new Map<string, { readonly since: number; readonly askedAt: number }>();
  return {
    since(name) {
      const known = names.get(name);
      const since = known && now() - known.askedAt < UNKNOWN_FOR_MS ? known.since : now();
      names.delete(name);
      names.set(name, { since, askedAt: now() });
      const [oldest] = names.keys();
      if (oldest !== undefined && names.size > MOST_UNKNOWN) names.delete(oldest);
      return since;
    },
    found: (name) => void names.delete(name),
  };
}

/**
 * Finds the model and version for every operation, and checks the parameters against the model's own schema. An operation
 * that names no version may get an arm of an experiment, if that arm can serve it.
 * @throws JobError
 * - `INVALID_PARAMETERS`
 * - `MODEL_UNAVAILABLE` when a model or version is not ready in time, although the server knows it or has served it, or
 *   the routes name it; also when the server does not answer whether its model now takes a parameter that it refused
 * - `UNKNOWN_MODEL`, `UNKNOWN_VERSION` for any other name, after the same wait
 */
export async function route(
  operations: readonly Operation[],
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed[]> {
  const routed: Routed[] = [];
  for (const operation of operations) routed.push(await routeByContractNow(operation, models, options, signal));
  return routed;
}

/** Reads the contract again before wrong parameters end a job, because the model may have been reloaded since. */
async function routeByContractNow(
  operation: Operation,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed> {
  const routed = await routeOne(operation, models, options, signal);
  if (complaintAbout(routed) === undefined) return routed;
  await models.refresh(signal, { model: operation.model });
  const again = await routeOne(operation, models, options, signal);
  const complaint = complaintAbout(again);
  if (complaint) throw await byContractNow(complaint, [again], models, signal);
  return again;
}

async function routeOne(
  operation: Operation,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed> {
  const model = await findModel(operation.model, models, options, signal);
  const asked = { operation, model, parameters: operation.parameters ?? {} };
  const arm = operation.version === undefined ? armFor(operation.model, options) : undefined;
  return (arm && onArm(arm, asked)) ?? (await onVersion(asked, models, options, signal));
}

type Asked = Pick<Routed, 'operation' | 'model' | 'parameters'>;

async function onVersion(
  asked: Asked,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<Routed> {
  const [version, contract] = await findVersion(asked.operation, asked.model, models, options, signal);
  return { ...asked, version, contract };
}

/** The arm of the job with this key, unless it was stopped. */
export function armFor(model: string, { routes, key, stopped }: ArmRules): Arm | undefined {
  const arm = key === undefined ? undefined : routes.armOf(model, key);
  return arm && stopped?.(arm) ? undefined : arm;
}

/** @returns undefined when the arm's version is not served, or does not take the job's parameters */
function onArm(arm: Arm, asked: Asked): Routed | undefined {
  const own = acceptedBy(arm.version, asked);
  if (!own) return undefined;
  const fallback = arm.defaultVersion === arm.version ? undefined : acceptedBy(arm.defaultVersion, asked);
  return { ...own, arm, ...(fallback ? { fallback } : {}) };
}

function acceptedBy(version: string, asked: Asked): Routed | undefined {
  const contract = asked.model.versions.get(version);
  if (!contract) return undefined;
  const routed = { ...asked, version, contract };
  return complaintAbout(routed) ? undefined : routed;
}

/** @returns what is wrong with the parameters, or with the model's schema of them */
function complaintAbout({ operation, contract, parameters }: Routed): JobError | undefined {
  try {
    checkParameters(operation.model, contract.parameters, parameters);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof JobError) return thrown;
    throw thrown;
  }
}

async function findModel(
  name: string,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<ModelContract> {
  const find = () => models.contracts().get(name);
  return await waitFor({ model: name }, find, models, options, signal);
}

async function findVersion(
  operation: Operation,
  model: ModelContract,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<[string, VersionContract]> {
  const { version: asked } = operation;
  const served = () => models.contracts().get(operation.model)?.versions;
  if (asked !== undefined) {
    const find = () => served()?.get(asked);
    return [asked, await waitFor({ model: operation.model, version: asked }, find, models, options, signal)];
  }
  const version = defaultVersion(operation.model, model.versions, options.routes);
  const contract = version === undefined ? undefined : model.versions.get(version);
  if (version === undefined || !contract) throw new Error(`model ${operation.model}: expected a version, given none`);
  return [version, contract];
}

interface Wanted {
  readonly model: string;
  readonly version?: string;
}

/** Waits for a model or version until it is served, at most as long as the options say. @throws JobError after that */
async function waitFor<T>(
  wanted: Wanted,
  find: () => T | undefined,
  models: ModelServer,
  options: RouteOptions,
  signal: AbortSignal,
): Promise<T> {
  const key = wanted.version === undefined ? wanted.model : `${wanted.model}/${wanted.version}`;
  const begunAt = performance.now();
  try {
    for (;;) {
      let found = find();
      const unanswered = found === undefined ? await ask(models, wanted, signal) : undefined;
      found ??= find();
      if (found !== undefined) {
        options.unknown?.found(key);
        return found;
      }
      const away = whyAway(wanted, models, options.routes);
      // Without an answer the server has neither confirmed the name nor denied it, so what is remembered of it stays.
      if (unanswered === undefined && away !== undefined) options.unknown?.found(key);
      const reason = unanswered ?? away;
      const since = reason === undefined ? (options.unknown?.since(key) ?? begunAt) : begunAt;
      if (performance.now() + POLL_MS > since + options.waitMs) throw missing(wanted, models, reason);
      if (options.patient === false) throw missing(wanted, models, reason ?? NOT_YET);
      await sleep(POLL_MS, undefined, { signal });
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    throw reasonToStop(signal, missing(wanted, models, whyAway(wanted, models, options.routes) ?? NOT_YET));
  }
}

/** Asks the server what it serves. @returns why it did not answer; it may answer the next time, and serve other models */
async function ask(models: ModelServer, wanted: Wanted, signal: AbortSignal): Promise<string | undefined> {
  try {
    await models.refresh(signal, wanted);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof JobError && thrown.code === 'MODEL_UNAVAILABLE') return thrown.message;
    throw thrown;
  }
}

/** @returns why a known model or version is not served; undefined for an unknown one */
function whyAway({ model, version }: Wanted, models: ModelServer, routes: Routes): string | undefined {
  const unready = models.unready();
  const reason = unready.get(model) ?? (version === undefined ? undefined : unready.get(`${model}/${version}`));
  const named = routes.named.some((one) => one.model === model && (version ?? one.version) === one.version);
  return reason ?? (named ? 'the routes name it, and the server does not serve it' : undefined);
}

function missing({ model, version }: Wanted, models: ModelServer, reason: string | undefined): JobError {
  const what = version === undefined ? `model ${model}` : `model ${model}: version ${version}`;
  if (reason !== undefined) {
    const needs = { kind: 'model', name: model, ...(version === undefined ? {} : { version }) } as const;
    return new JobError('MODEL_UNAVAILABLE', `${what} is not ready: ${reason}`, { stage: 'route', needs });
  }
  const others = version === undefined ? models.contracts() : (models.contracts().get(model)?.versions ?? new Map());
  const known = [...others.keys()].sort().join(', ') || 'none';
  return new JobError(version === undefined ? 'UNKNOWN_MODEL' : 'UNKNOWN_VERSION', `${what}: expected one of ${known}`);
}

/** The version that the routes name, if it is served; otherwise Triton's own default, the greatest version number. */
export function defaultVersion(
  model: string,
  versions: ModelContract['versions'],
  routes: Pick<Routes, 'defaultVersion'>,
): string | undefined {
  const preferred = routes.defaultVersion(model);
  return preferred !== undefined && versions.has(preferred) ? preferred : [...versions.keys()].at(-1);
}
