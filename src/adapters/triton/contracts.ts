/** Reads all models of a server: which are ready, what each promises, and why the others cannot serve. */
import { status } from '@grpc/grpc-js';
import { type Batcher, ContractError, readContract, type ModelContract, type ModelDescription } from '../../domain/contract.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure } from './errors.js';
import type { ModelConfig, ModelDynamicBatching, ModelIndex, ModelQueuePolicy, ModelTensorConfig } from './wire.js';

export interface Catalogue {
  /** Models that can serve, by name. */
  readonly contracts: ReadonlyMap<string, ModelContract>;
  /** The others with the reason, by `<model>`; and single versions of models that can serve, by `<model>/<version>`. */
  readonly unready: ReadonlyMap<string, string>;
}

/**
 * One call for the index and one for each model that is ready. A model's configuration is read every time: a reload can
 * change it without a trace in the index, and reading it takes the server less than a millisecond.
 * @throws the signal's reason, or ServiceError when the server does not answer
 */
export async function readCatalogue(channel: Channel, options: CallOptions): Promise<Catalogue> {
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
  return { contracts, unready };
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
    if (isCallFailure(error) && error.code === status.NOT_FOUND) return 'unloaded just now';
    throw error;
  }
}

function explain({ version, state, reason }: ModelIndex): string {
  if (version === '') return 'not loaded';
  return `version ${version}: ${state}${reason === '' ? '' : `: ${reason.trim()}`}`;
}

/**
 * The index belongs to the repository protocol, which a careful operator restricts, because its neighbours load code.
 * The statistics name the same ready versions, only without reasons for the others.
 */
async function readIndex(channel: Channel, options: CallOptions): Promise<readonly ModelIndex[]> {
  try {
    return (await channel.call('RepositoryIndex', { ready: false }, options)).models;
  } catch (error) {
    if (!isCallFailure(error) || !error.details.includes('restricted')) throw error;
    const { modelStats } = await channel.call('ModelStatistics', { name: '', version: '' }, options);
    return modelStats.map(({ name, version }) => ({ name, version, state: 'READY', reason: '' }));
  }
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
