/** Reads all models of a server: which are ready, what each promises, and why the others cannot serve. */
import { status } from '@grpc/grpc-js';
import { type Batcher, ContractError, type ModelContract, type ModelDescription } from '../../domain/contract.js';
import { readContract } from '../../domain/examine-contract.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure, isNotReady } from './errors.js';
import { keyOf, type ModelName, type Remembered } from './remembered.js';
import type { ModelConfig, ModelDynamicBatching, ModelIndex, ModelQueuePolicy, ModelTensorConfig } from './wire.js';

export interface Catalogue {
  /** Models that can serve, by name. */
  readonly contracts: ReadonlyMap<string, ModelContract>;
  /**
   * The reason for each other model, by `<model>`, and for single versions of models that can serve, by `<model>/<version>`.
   */
  readonly unready: ReadonlyMap<string, string>;
}

/**
 * Makes two calls for the lists of models and one for each ready model. It reads a model's configuration every time: a
 * reload can change it without a change in the lists, and the read takes the server less than a millisecond.
 * @param remembered names that the lists may omit; the server is asked for each
 * @throws the signal's reason, or ServiceError if the server does not answer
 */
export async function readCatalogue(
  channel: Channel,
  options: CallOptions,
  remembered: Pick<Remembered, 'names' | 'wasServed'>,
): Promise<Catalogue> {
  const contracts = new Map<string, ModelContract>();
  const unready = new Map<string, string>();
  const index = await readIndex(channel, options);
  const models = [...new Set(index.map(({ name }) => name))];
  await Promise.all(
    models.map(async (model) => {
      const versions = index.filter(({ name }) => name === model);
      const waiting = versions.filter(({ state }) => state !== 'READY');
      const ready = versions.filter(({ state }) => state === 'READY').map(({ version }) => version);
      const contract =
        ready.length > 0 ? await readModel(channel, model, ready, options) : waiting.map(explain).join('; ');
      if (typeof contract === 'string') {
        unready.set(model, contract);
        return;
      }
      contracts.set(model, contract);
      for (const entry of waiting) {
        // Report a version that is loading or failed to load, but not one that was retired.
        if (entry.reason !== 'unloaded') unready.set(`${model}/${entry.version}`, explain(entry));
      }
    }),
  );
  await Promise.all(
    remembered.names().map(async (name) => {
      const listed = unready.has(name.model) || unready.has(keyOf(name));
      const contract = contracts.get(name.model);
      const served = name.version === undefined ? contract : contract?.versions.get(name.version);
      if (listed || served) return;
      const reason = await askFor(channel, name, options);
      if (reason !== undefined) unready.set(keyOf(name), reason);
      else if (remembered.wasServed(name)) unready.set(keyOf(name), 'the server no longer serves it');
    }),
  );
  return { contracts, unready };
}

/**
 * Asks for a model by name. The lists name what can serve or, if the repository is readable, what is in it. A model that was
 * unloaded, or failed to load, may be in neither, but the server still knows it by name.
 * @returns why the server cannot serve it; undefined if the server does not know it
 */
async function askFor(
  channel: Channel,
  { model, version = '' }: ModelName,
  options: CallOptions,
): Promise<string | undefined> {
  try {
    await channel.call('ModelConfig', { name: model, version }, options);
    return 'being loaded';
  } catch (error) {
    if (isNotReady(error)) return error.details.endsWith('is not found') ? undefined : error.details;
    // No model can have this name or version. That is the job's fault alone.
    if (isCallFailure(error) && error.code === status.INVALID_ARGUMENT) return undefined;
    throw error;
  }
}

/** @returns the contract, or the reason why there is none */
export async function readModel(
  channel: Channel,
  model: string,
  readyVersions: readonly string[],
  options: CallOptions,
): Promise<ModelContract | string> {
  const version = readyVersions.reduce((a, b) => (Number(a) > Number(b) ? a : b));
  try {
    const { config } = await channel.call('ModelConfig', { name: model, version }, options);
    return config ? readContract(describe(config, readyVersions)) : 'the server gave no configuration';
  } catch (error) {
    if (error instanceof ContractError) return error.message;
    if (isNotReady(error)) return 'unloaded just now';
    throw error;
  }
}

function explain({ version, state, reason }: ModelIndex): string {
  if (version === '') return 'not loaded';
  return `version ${version}: ${state}${reason === '' ? '' : `: ${reason.trim()}`}`;
}

/**
 * The statistics list what is ready. The index says why the rest is not. But it lists only what is in the repository now,
 * while a model whose folder is gone still serves. It also belongs to the repository protocol, which careful operators
 * restrict, because other calls of that protocol load code.
 */
async function readIndex(channel: Channel, options: CallOptions): Promise<readonly ModelIndex[]> {
  const [index, { modelStats }] = await Promise.all([
    channel.call('RepositoryIndex', { ready: false }, options).catch((error: unknown) => {
      if (isCallFailure(error) && error.details.includes('restricted')) return { models: [] };
      throw error;
    }),
    channel.call('ModelStatistics', { name: '', version: '' }, options),
  ]);
  const ready = modelStats.map(({ name, version }) => ({ name, version, state: 'READY', reason: '' }));
  const isReady = ({ name, version }: ModelIndex) =>
    ready.some((one) => one.name === name && (version === '' || one.version === version));
  return [...ready, ...index.models.filter((entry) => !isReady(entry) && !isHidden(entry))];
}

/** @throws ContractError for a model that answers a request several times */
export function describe(config: ModelConfig, readyVersions: readonly string[]): ModelDescription {
  if (config.modelTransactionPolicy?.decoupled) {
    throw new ContractError(
      `model ${config.name}: model_transaction_policy: expected one answer a request, given decoupled: true`,
    );
  }
  return {
    model: config.name,
    maxBatchSize: config.maxBatchSize,
    instances: config.instanceGroup.reduce((sum, { count, gpus }) => sum + count * Math.max(1, gpus.length), 0),
    batcher: describeBatcher(config.dynamicBatching ?? undefined),
    inputs: config.input.map(describeTensor),
    outputs: config.output.map(describeTensor),
    parameters: Object.fromEntries(Object.entries(config.parameters).map(([key, value]) => [key, value.stringValue])),
    readyVersions,
  };
}

/** A model without dynamic batching has a queue of another kind, without delay and priorities. */
function describeBatcher(batching: ModelDynamicBatching | undefined): Batcher {
  if (!batching) return { delayMs: 0, prefetches: true };
  const { priorityLevels, defaultQueuePolicy, priorityQueuePolicy } = batching;
  const limited = (policy: ModelQueuePolicy | null) =>
    policy !== null && (policy.maxQueueSize > 0 || policy.defaultTimeoutMicroseconds > 0);
  return {
    delayMs: batching.maxQueueDelayMicroseconds / 1000,
    prefetches: priorityLevels < 2 && ![defaultQueuePolicy, ...Object.values(priorityQueuePolicy)].some(limited),
  };
}

/** Every folder of a repository is in the index. Those of tools begin with a dot: `.imagen-push`, `.seeding`. */
const isHidden = ({ name, state }: ModelIndex) => state === '' && name.startsWith('.');

function describeTensor({ name, dataType, dims, optional = false }: ModelTensorConfig) {
  return { name, datatype: dataType.replace(/^TYPE_/, ''), dims, optional };
}
