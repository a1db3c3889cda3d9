/** Finds everything that is wrong with a model's contract. contract.ts has the words, triton/README.md the keys. */
import { z } from 'zod';
import { PLANS } from './completion.js';
import {
  ContractError,
  type ContractFault,
  type ModelContract,
  type ModelDescription,
  type TensorDescription,
  type VersionContract,
} from './contract.js';

const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, ctx): unknown => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        ctx.addIssue({ code: 'custom', message: 'expected JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
const int = (minimum: number) =>
  z
    .string()
    .regex(/^[0-9]+$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value >= minimum, `expected at least ${minimum}`);

/** One entry per key: how to parse it, and its default. */
const KEYS = {
  plans: json(z.array(z.enum(PLANS)).min(1)),
  tile_sizes: json(z.array(z.int().min(8).max(8192))).default([]),
  margin: int(0).default(0),
  border: z.enum(['pad', 'repeat']).default('pad'),
  seam_tolerance: int(0).default(1),
  max_whole_pixels: int(1).default(1_048_576),
  fit_size: z
    .string()
    .regex(/^[1-9][0-9]*x[1-9][0-9]*$/, 'expected <width>x<height>')
    .optional(),
  fit_mode: z.enum(['letterbox', 'stretch']).default('letterbox'),
  fit_fill: z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/, 'expected "#rrggbb"')
    .default('#000000'),
  scale: int(1).default(1),
  parameters: json(z.record(z.string(), z.unknown())).default({}),
};

/** Stands in for a value that cannot be read, so that the other keys are read as well. */
const READABLE: Readonly<Partial<Record<keyof typeof KEYS, string>>> = { plans: '["whole"]' };
const KEY_NAMES = Object.keys(KEYS) as (keyof typeof KEYS)[];

type Tell = (key: string, expected: string, given: string) => void;

/**
 * Reads a model's contract as `readContract` does.
 * @returns all faults, each once; the contract only if there is none
 */
export function examineContract(description: ModelDescription): {
  readonly contract?: ModelContract;
  readonly faults: readonly ContractFault[];
} {
  const faults: ContractFault[] = [];
  const tell: Tell = (key, expected, given) => {
    const same = (one: ContractFault) => one.key === key && one.expected === expected && one.given === given;
    if (!faults.some(same)) faults.push({ key, expected, given });
  };
  checkTensors(description, tell);
  if (description.readyVersions.length === 0) tell('versions', 'at least one ready version', 'none');
  checkKeys(description, tell);
  const numbers = [...description.readyVersions].sort((a, b) => Number(a) - Number(b));
  const versions = new Map<string, VersionContract>();
  for (const number of numbers) {
    const version = readVersion(description, number, tell);
    if (version) versions.set(number, version);
  }
  if (faults.length > 0) return { faults };
  const { model, maxBatchSize, instances, batcher } = description;
  const output = description.outputs.some(({ name }) => name === 'mask') ? 'mask' : 'image';
  const takesOrigin = description.inputs.some(({ name }) => name === 'origin');
  return { contract: { model, output, takesOrigin, maxBatchSize, instances, batcher, versions }, faults };
}

function checkTensors({ inputs, outputs }: ModelDescription, tell: Tell): void {
  checkTensor('input', inputs, 'image', 'UINT8', [undefined, undefined, 3], tell);
  if (inputs.some(({ name }) => name === 'origin')) checkTensor('input', inputs, 'origin', 'INT32', [4], tell);
  for (const { name, optional } of inputs) {
    if (name !== 'image' && name !== 'origin' && !optional) {
      tell(`input ${name}`, 'only image and origin as required inputs', 'it');
    }
  }
  const isMask = outputs.some(({ name }) => name === 'mask');
  checkTensor('output', outputs, isMask ? 'mask' : 'image', 'UINT8', [undefined, undefined, isMask ? 1 : 3], tell);
}

/** @param dims `undefined` permits any size, and so does a declared −1 */
function checkTensor(
  side: 'input' | 'output',
  tensors: readonly TensorDescription[],
  name: string,
  datatype: string,
  dims: readonly (number | undefined)[],
  tell: Tell,
): void {
  const key = `${side} ${name}`;
  const tensor = tensors.find((candidate) => candidate.name === name);
  if (!tensor) {
    tell(key, `a ${datatype} tensor`, tensors.map((one) => one.name).join(', ') || 'none');
    return;
  }
  if (tensor.datatype !== datatype) tell(key, datatype, tensor.datatype);
  const fits =
    tensor.dims.length === dims.length &&
    dims.every((size, index) => size === undefined || tensor.dims[index] === size || tensor.dims[index] === -1);
  if (!fits) tell(key, `dims [${dims.map((size) => size ?? 'any').join(', ')}]`, `[${tensor.dims.join(', ')}]`);
}

/** @returns undefined if a key of the version cannot be read */
function readVersion(description: ModelDescription, version: string, tell: Tell): VersionContract | undefined {
  const { parameters } = description;
  const unreadable: string[] = [];
  const read = <K extends keyof typeof KEYS>(key: K): z.output<(typeof KEYS)[K]> => {
    const own = `imagen.v${version}.${key}`;
    const name = own in parameters ? own : `imagen.${key}`;
    const result = KEYS[key].safeParse(parameters[name]);
    if (result.success) return result.data as z.output<(typeof KEYS)[K]>;
    const expected = result.error.issues.map((issue) => issue.message.replace(/^expected /, '')).join(', ');
    const given = parameters[name];
    tell(name, expected, given === undefined ? 'nothing' : JSON.stringify(given));
    unreadable.push(name);
    return KEYS[key].safeParse(READABLE[key]).data as z.output<(typeof KEYS)[K]>;
  };
  const [width, height] = (read('fit_size') ?? '').split('x').map(Number);
  const fill = Buffer.from(read('fit_fill').slice(1), 'hex');
  const contract: VersionContract = {
    plans: read('plans'),
    tileSizes: [...read('tile_sizes')].sort((a, b) => a - b),
    margin: read('margin'),
    border: read('border'),
    seamTolerance: read('seam_tolerance'),
    maxWholePixels: read('max_whole_pixels'),
    ...(width && height ? { fitSize: { width, height } } : {}),
    fitMode: read('fit_mode'),
    fitFill: [fill[0] ?? 0, fill[1] ?? 0, fill[2] ?? 0],
    scale: read('scale'),
    parameters: read('parameters'),
  };
  if (unreadable.length > 0) return undefined;
  checkPlans(contract, tell);
  checkAgainstTensors(description, contract, tell);
  return contract;
}

function checkPlans({ plans, tileSizes, margin, fitSize }: VersionContract, tell: Tell): void {
  const [smallest] = tileSizes;
  if (plans.includes('tile') && smallest === undefined) {
    tell('imagen.tile_sizes', 'at least one size for plan tile', '[]');
  }
  if (plans.includes('tile') && smallest !== undefined && smallest <= 2 * margin) {
    tell('imagen.tile_sizes', `sizes above twice the margin of ${margin}`, String(smallest));
  }
  if (plans.includes('fit') && !fitSize) tell('imagen.fit_size', '<width>x<height> for plan fit', 'nothing');
}

/** Largest frame of `fit`, in pixels. Each request holds one frame. */
const MAX_FIT_PIXELS = 2 ** 26;

/** Checks that the model's tensors permit what the contract promises. */
function checkAgainstTensors({ inputs, outputs }: ModelDescription, contract: VersionContract, tell: Tell): void {
  const { plans, tileSizes, fitSize, scale } = contract;
  if (scale !== 1 && outputs.some(({ name }) => name === 'mask')) {
    tell('imagen.scale', '1 for a model that gives a mask', String(scale));
  }
  if (fitSize && fitSize.width * fitSize.height > MAX_FIT_PIXELS) {
    tell('imagen.fit_size', `at most ${MAX_FIT_PIXELS} pixels`, `${fitSize.width}x${fitSize.height}`);
  }
  const [height = -1, width = -1] = inputs.find(({ name }) => name === 'image')?.dims ?? [];
  const takes = (w: number, h: number) => (width === -1 || width === w) && (height === -1 || height === h);
  const dims = `input image's ${width}x${height}`;
  if (plans.includes('fit') && fitSize && !takes(fitSize.width, fitSize.height)) {
    tell('imagen.fit_size', dims, `${fitSize.width}x${fitSize.height}`);
  }
  const stranger = tileSizes.find((side) => !takes(side, side));
  if (plans.includes('tile') && stranger !== undefined) tell('imagen.tile_sizes', dims, String(stranger));
  if (plans.includes('whole') && (width !== -1 || height !== -1)) {
    tell('imagen.plans', `no plan whole, because of ${dims}`, JSON.stringify(plans));
  }
}

function checkKeys({ parameters }: ModelDescription, tell: Tell): void {
  for (const name of Object.keys(parameters)) {
    const match = /^imagen\.(?:v[1-9][0-9]*\.)?(.+)$/.exec(name);
    if (match && !KEY_NAMES.some((key) => key === match[1])) {
      tell(name, `one of ${KEY_NAMES.map((key) => `imagen.${key}`).join(', ')}`, 'an unknown key');
    }
  }
}

/**
 * Reads a model's contract. `imagen.<key>` applies to all versions, `imagen.v<version>.<key>` to one.
 * @throws ContractError that names the model, the key, what was expected and what was given
 */
export function readContract(description: ModelDescription): ModelContract {
  const { contract, faults } = examineContract(description);
  const [first] = faults;
  if (!contract || first) {
    const { key = '', expected = '', given = '' } = first ?? {};
    throw new ContractError(`model ${description.model}: ${key}: expected ${expected}, given ${given}`);
  }
  return contract;
}
