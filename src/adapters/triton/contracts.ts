/** Reads all models of a server: which are ready, what each promises, and why the others cannot serve. */
import { status } from '@grpc/grpc-js';
import { type Batcher, ContractError, readContract, type ModelContract, type ModelDescription } from '../../domain/contract.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure, isNotReady } from './errors.js';
import { keyOf, type ModelName, type Remembered } from './remembered.js';
import type { ModelConfig, ModelDynamicBatching, ModelIndex, ModelQueuePolicy, ModelTensorConfig } from './wire.js';

export interface Catalogue {
  /** Models that can serve, by name. */
  readonly contracts: ReadonlyMap<string, ModelContract>;
  /** The others with the reason, by `<model>`; and single versions of models that can serve, by `<model>/<version>`. */
  readonly unready: ReadonlyMap<string, string>;
}

/**
 * Two calls for the lists of models and one for each model that is ready. A model's configuration is read every time: a
 * reload can change it without a trace in the lists, and reading it takes the server less than a millisecond.
 * @param remembered what else to ask for: names that may be missing in the lists
 * @throws the signal's reason, or ServiceError when the server does not answer
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
        // A version that was retired is no news; one that is loading, or could not be loaded, is.
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
 * The lists name what can serve, or, where the repository may be looked at, what is in it. What has been unloaded, or could
 * not be loaded, may be in neither; but the server knows it when it is asked for by name.
 * @returns why the server cannot serve it; undefined where it knows nothing of it
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
    // A name or version that no model can have, which is the job's affair alone.
    if (isCallFailure(error) && error.code === status.INVALID_ARGUMENT) return undefined;
    throw error;
  }
}

/** @returns the contract, or the reason why there is none */
async function readModel(
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
 * The statistics name what is ready. The index says why the rest is not; but it names only what is in the repository now,
 * although a model whose folder is gone still serves. And it belongs to the repository protocol, which a careful
 * operator restricts, because its neighbours load code.
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
  return [...ready, ...index.models.filter((entry) => !isReady(entry))];
}

function describe(config: ModelConfig, readyVersions: readonly string[]): ModelDescription {
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

/** A model without dynamic batching has a queue of its own kind, which knows neither delay nor priorities. */
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

function describeTensor({ name, dataType, dims, optional = false }: ModelTensorConfig) {
  return { name, datatype: dataType.replace(/^TYPE_/, ''), dims, optional };
}
