/** What Triton and the worker demand of a model's directory, found without a server. */
import { describe } from '../../adapters/triton/contracts.js';
import { readConfigText } from '../../adapters/triton/text-schema.js';
import type { ModelConfig } from '../../adapters/triton/wire.js';
import { ContractError, type ModelContract } from '../../domain/contract.js';
import { examineContract } from '../../domain/examine-contract.js';
import { CONFIG_FILE, type ModelDirectory } from './directory.js';

export interface Fault {
  /** Below the model's directory. */
  readonly file: string;
  readonly line?: number;
  readonly field: string;
  readonly expected: string;
  readonly given: string;
}

/** What the rules read of a configuration beside the worker's part of it. */
export interface FullConfig extends ModelConfig {
  readonly platform: string;
  readonly defaultModelFilename: string;
  readonly versionPolicy: {
    readonly latest: { readonly numVersions: number } | null;
    readonly all: object | null;
    readonly specific: { readonly versions: readonly number[] } | null;
  } | null;
  readonly sequenceBatching: object | null;
  readonly dynamicBatching: (NonNullable<ModelConfig['dynamicBatching']> & DynamicBatching) | null;
}
interface DynamicBatching {
  readonly preferredBatchSize: readonly number[];
  readonly defaultPriorityLevel: number;
}

type Tell = (field: string, expected: string, given: string) => void;

/** What each backend loads where `default_model_filename` says nothing else. */
const MODEL_FILES: Readonly<Record<string, string>> = {
  python: 'model.py',
  onnxruntime: 'model.onnx',
  pytorch: 'model.pt',
  tensorrt: 'model.plan',
  openvino: 'model.xml',
};
const PLATFORMS: Readonly<Record<string, string>> = {
  onnxruntime_onnx: 'onnxruntime',
  pytorch_libtorch: 'pytorch',
  tensorrt_plan: 'tensorrt',
};

export interface Examined {
  readonly faults: readonly Fault[];
  /** Only without faults. */
  readonly contract?: ModelContract;
  readonly config?: FullConfig;
}

/** Checks a directory against Triton's schema, Triton's rules and the worker's contract. @returns all faults at once */
export function examineDirectory(directory: ModelDirectory): Examined {
  const faults: Fault[] = [];
  const tell: Tell = (field, expected, given) => faults.push({ file: CONFIG_FILE, field, expected, given });
  checkFolders(directory, faults);
  if (directory.config === undefined) {
    faults.push({ file: CONFIG_FILE, field: '', expected: 'a file', given: 'none' });
    return { faults };
  }
  const { config: read, faults: inText } = readConfigText(directory.config);
  const config = read as unknown as FullConfig;
  for (const fault of inText) faults.push({ file: CONFIG_FILE, ...fault });
  if (inText.some(({ field }) => field === '')) return { faults };
  checkModel(config, directory, tell);
  checkTensors(config, tell);
  checkScheduling(config, tell);
  checkFiles(config, directory, faults);
  const contract = checkContract(config, directory, faults, tell);
  return faults.length > 0 || !contract ? { faults } : { faults, contract, config };
}

function checkFolders({ versions, strangers, unreadable }: ModelDirectory, faults: Fault[]): void {
  for (const name of strangers) {
    const expected = 'a version such as 3, of at most 18 digits, without leading zeros and other letters';
    faults.push({ file: `${name}/`, field: '', expected, given: name });
  }
  for (const place of unreadable) {
    faults.push({ file: place, field: '', expected: 'a plain file', given: 'something else' });
  }
  if (versions.size === 0)
    faults.push({ file: '', field: '', expected: 'the folder of a version, such as 1', given: 'none' });
}

function checkModel(config: FullConfig, { model, versions }: ModelDirectory, tell: Tell): void {
  const { name, backend, platform, maxBatchSize, versionPolicy, instanceGroup } = config;
  if (name !== '' && name !== model) tell('name', `"${model}", the folder's name`, JSON.stringify(name));
  if (!/^[A-Za-z0-9][\w.-]*$/.test(model)) tell('name', 'letters, digits, ., _ and -', JSON.stringify(model));
  if (backend === '' && platform === '') tell('backend', 'a backend such as "python"', 'nothing');
  if (maxBatchSize < 0) tell('max_batch_size', '0 or more', String(maxBatchSize));
  if (versionPolicy?.latest?.numVersions === 0) {
    tell('version_policy.latest.num_versions', '1 or more', '0');
  }
  const named = versionPolicy?.specific?.versions.map(String);
  const unnamed = [...versions.keys()].filter((version) => named?.includes(version) === false);
  if (unnamed.length > 0) {
    tell('version_policy.specific.versions', `${unnamed.join(', ')} among them`, `[${(named ?? []).join(', ')}]`);
  }
  for (const [index, { count, gpus, kind }] of instanceGroup.entries()) {
    const field = `instance_group[${index}]`;
    if (count < 0) tell(`${field}.count`, '0 or more', String(count));
    const onGpu = kind === 'KIND_GPU' || kind === 'KIND_AUTO';
    if (!onGpu && gpus.length > 0) tell(`${field}.gpus`, `none for ${kind}`, `[${gpus.join(', ')}]`);
    if (gpus.some((gpu) => gpu < 0)) tell(`${field}.gpus`, 'numbers from 0', `[${gpus.join(', ')}]`);
  }
}

function checkTensors({ input, output }: FullConfig, tell: Tell): void {
  for (const [side, tensors] of [
    ['input', input],
    ['output', output],
  ] as const) {
    const seen = new Set<string>();
    for (const { name, dataType, dims } of tensors) {
      const field = `${side} ${name === '' ? '""' : name}`;
      if (name === '') tell(`${side}.name`, 'a name', 'nothing');
      else if (seen.has(name)) tell(field, 'each name once', 'it a second time');
      seen.add(name);
      if (dataType === 'TYPE_INVALID') tell(`${field}.data_type`, 'a type such as TYPE_UINT8', 'nothing');
      const wrong = dims.filter((size) => size < 1 && size !== -1);
      if (dims.length === 0) tell(`${field}.dims`, 'at least one', 'none');
      if (wrong.length > 0) tell(`${field}.dims`, 'sizes from 1, or -1 for any', `[${dims.join(', ')}]`);
    }
  }
}

function checkScheduling({ dynamicBatching, sequenceBatching, maxBatchSize }: FullConfig, tell: Tell): void {
  if (sequenceBatching) tell('sequence_batching', 'nothing: requests of the worker are in no sequence', 'it');
  if (!dynamicBatching) return;
  const { preferredBatchSize, defaultPriorityLevel, priorityLevels } = dynamicBatching;
  const wrong = preferredBatchSize.filter((size) => size < 1 || size > maxBatchSize);
  if (wrong.length > 0) {
    tell('dynamic_batching.preferred_batch_size', `sizes from 1 to max_batch_size ${maxBatchSize}`, wrong.join(', '));
  }
  if (priorityLevels > 0 && (defaultPriorityLevel < 1 || defaultPriorityLevel > priorityLevels)) {
    tell('dynamic_batching.default_priority_level', `1 to ${priorityLevels}`, String(defaultPriorityLevel));
  }
}

function checkFiles(config: FullConfig, { versions }: ModelDirectory, faults: Fault[]): void {
  const backend = config.backend === '' ? PLATFORMS[config.platform] : config.backend;
  const wanted = config.defaultModelFilename === '' ? MODEL_FILES[backend ?? ''] : config.defaultModelFilename;
  if (wanted === undefined) return; // a backend that is not known here
  for (const [version, files] of versions) {
    const file = `${version}/${wanted}`;
    const found = files.filter(({ path }) => path === wanted || path.startsWith(`${wanted}/`));
    if (found.length === 0)
      faults.push({ file, field: '', expected: `what backend ${backend} loads`, given: 'no file' });
    else if (found.every(({ bytes }) => bytes === 0))
      faults.push({ file, field: '', expected: 'content', given: '0 bytes' });
  }
}

function checkContract(
  config: FullConfig,
  { model, versions }: ModelDirectory,
  faults: Fault[],
  tell: Tell,
): ModelContract | undefined {
  try {
    const description = describe({ ...config, name: model }, [...versions.keys()]);
    const { contract, faults: found } = examineContract(description);
    for (const fault of found) if (fault.key !== 'versions') tell(fault.key, fault.expected, fault.given);
    return contract;
  } catch (error) {
    if (!(error instanceof ContractError)) throw error;
    faults.push({
      file: CONFIG_FILE,
      field: 'model_transaction_policy.decoupled',
      expected: 'one answer a request',
      given: 'true',
    });
    return undefined;
  }
}

/** `config.pbtxt:12: input.dims: expected …, given …` */
export function describeFault({ file, line, field, expected, given }: Fault): string {
  const where = [file === '' ? '.' : file, ...(line === undefined ? [] : [line])].join(':');
  return `${where}: ${field === '' ? '' : `${field}: `}expected ${expected}, given ${given}`;
}
