/**
 * The contract is what the worker reads from Triton about a model. It comes from the model's own config.pbtxt, so a new
 * model needs no code here. triton/README.md documents the keys and defaults.
 */
import { z } from 'zod';
import { PLANS, type PlanName } from './completion.js';

/** What one version of a model promises. Lengths are in pixels of the input unless a field says otherwise. */
export interface VersionContract {
  readonly plans: readonly PlanName[];
  /** Sides of the square tiles, in ascending order. */
  readonly tileSizes: readonly number[];
  /** Pixels on each side of a tile that are computed and discarded. */
  readonly margin: number;
  /**
   * What the network sees beyond a picture. `pad`: something of its own, such as zeros, so the worker adds a margin of
   * pixels. `repeat`: the picture's last row and column, so more of them change nothing.
   */
  readonly border: 'pad' | 'repeat';
  /** Largest difference that a seam may show, in levels of 255. */
  readonly seamTolerance: number;
  readonly maxWholePixels: number;
  readonly fitSize?: { readonly width: number; readonly height: number };
  /** `letterbox` keeps the aspect ratio and fills the rest of the frame. `stretch` fills the frame with the picture. */
  readonly fitMode: 'letterbox' | 'stretch';
  /** Letterbox colour of `fit`: red, green and blue, each 0 to 255. */
  readonly fitFill: readonly [number, number, number];
  /** Output side ÷ input side. */
  readonly scale: number;
  /** JSON Schema of the `parameters` that a job may pass. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ModelContract {
  readonly model: string;
  /** `image` for `[H·s, W·s, 3]`, `mask` for `[H, W, 1]`. */
  readonly output: 'image' | 'mask';
  /** Whether the model takes the second input `origin`. */
  readonly takesOrigin: boolean;
  /** 0 if the model does no batching. */
  readonly maxBatchSize: number;
  readonly instances: number;
  /** How the server forms batches for the model. */
  readonly batcher: Batcher;
  /** Ready versions by number, the newest last. */
  readonly versions: ReadonlyMap<string, VersionContract>;
}

export interface Batcher {
  /** How long a request waits for others to join its batch, in milliseconds. */
  readonly delayMs: number;
  /**
   * Whether Triton forms a batch while the previous one runs. With priority levels or queue limits it does not, so that it
   * can choose requests at the last moment. It may then notice a free instance only at the next request, or up to half a
   * second later (rate_limiter.cc and dynamic_batch_scheduler.cc of Triton 2.51).
   */
  readonly prefetches: boolean;
}

/** An unusable contract. The message names the model, the key, what was expected and what was given. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
}

/** The parts of Triton's model config from which a contract is read. */
export interface ModelDescription {
  readonly model: string;
  readonly maxBatchSize: number;
  readonly instances: number;
  readonly batcher: Batcher;
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
  /** `parameters` of config.pbtxt. Each value is a string. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly readyVersions: readonly string[];
}

export interface TensorDescription {
  readonly name: string;
  /** Triton's name of the type without its prefix: `UINT8`, `FP32`, … */
  readonly datatype: string;
  /** Dimensions without the batch dimension. −1 permits any size. */
  readonly dims: readonly number[];
  readonly optional: boolean;
}

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
const KEY_NAMES = Object.keys(KEYS) as (keyof typeof KEYS)[];

/**
 * Reads a model's contract. `imagen.<key>` applies to all versions, `imagen.v<version>.<key>` to one.
 * @throws ContractError that names the model, the key, what was expected and what was given
 */
export function readContract(description: ModelDescription): ModelContract {
  const { model } = description;
  const image = requireTensor(model, description.inputs, 'image', 'UINT8', 'input');
  requireDims(model, 'input image', image, [undefined, undefined, 3]);
  const origin = description.inputs.find((tensor) => tensor.name === 'origin');
  if (origin) requireDims(model, 'input origin', requireTensor(model, [origin], 'origin', 'INT32', 'input'), [4]);
  const stranger = description.inputs.find(({ name, optional }) => name !== 'image' && name !== 'origin' && !optional);
  if (stranger) throw complaint(model, `input ${stranger.name}`, 'only image and origin as required inputs', 'it');

  const isMask = description.outputs.some((tensor) => tensor.name === 'mask');
  const output = requireTensor(model, description.outputs, isMask ? 'mask' : 'image', 'UINT8', 'output');
  requireDims(model, `output ${output.name}`, output, [undefined, undefined, isMask ? 1 : 3]);
  if (description.readyVersions.length === 0) throw complaint(model, 'versions', 'at least one ready version', 'none');

  checkKeys(description);
  const versions = [...description.readyVersions].sort((a, b) => Number(a) - Number(b));
  return {
    model,
    output: isMask ? 'mask' : 'image',
    takesOrigin: origin !== undefined,
    maxBatchSize: description.maxBatchSize,
    instances: description.instances,
    batcher: description.batcher,
    versions: new Map(versions.map((version) => [version, readVersion(description, version)])),
  };
}

function readVersion(description: ModelDescription, version: string): VersionContract {
  const { model, parameters } = description;
  const read = <K extends keyof typeof KEYS>(key: K): z.output<(typeof KEYS)[K]> => {
    const own = `imagen.v${version}.${key}`;
    const name = own in parameters ? own : `imagen.${key}`;
    const result = KEYS[key].safeParse(parameters[name]);
    if (result.success) return result.data as z.output<(typeof KEYS)[K]>;
    const expected = result.error.issues.map((issue) => issue.message.replace(/^expected /, '')).join(', ');
    const given = parameters[name];
    throw complaint(model, name, expected, given === undefined ? 'nothing' : JSON.stringify(given));
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
  if (contract.plans.includes('tile')) {
    const smallest = contract.tileSizes[0];
    if (smallest === undefined) throw complaint(model, 'imagen.tile_sizes', 'at least one size for plan tile', '[]');
    if (smallest <= 2 * contract.margin) {
      throw complaint(
        model,
        'imagen.tile_sizes',
        `sizes above twice the margin of ${contract.margin}`,
        String(smallest),
      );
    }
  }
  if (contract.plans.includes('fit') && !contract.fitSize) {
    throw complaint(model, 'imagen.fit_size', '<width>x<height> for plan fit', 'nothing');
  }
  checkAgainstTensors(description, contract);
  return contract;
}

/** Largest frame of `fit`, in pixels. Each request holds one frame. */
const MAX_FIT_PIXELS = 2 ** 26;

/** Checks that the model's tensors permit what the contract promises. @throws ContractError */
function checkAgainstTensors({ model, inputs, outputs }: ModelDescription, contract: VersionContract): void {
  const { plans, tileSizes, fitSize, scale } = contract;
  if (scale !== 1 && outputs.some(({ name }) => name === 'mask')) {
    throw complaint(model, 'imagen.scale', '1 for a model that gives a mask', String(scale));
  }
  if (fitSize && fitSize.width * fitSize.height > MAX_FIT_PIXELS) {
    throw complaint(model, 'imagen.fit_size', `at most ${MAX_FIT_PIXELS} pixels`, `${fitSize.width}x${fitSize.height}`);
  }
  const [height = -1, width = -1] = inputs.find(({ name }) => name === 'image')?.dims ?? [];
  const takes = (w: number, h: number) => (width === -1 || width === w) && (height === -1 || height === h);
  const dims = `input image's ${width}x${height}`;
  if (plans.includes('fit') && fitSize && !takes(fitSize.width, fitSize.height)) {
    throw complaint(model, 'imagen.fit_size', dims, `${fitSize.width}x${fitSize.height}`);
  }
  const stranger = tileSizes.find((side) => !takes(side, side));
  if (plans.includes('tile') && stranger !== undefined) {
    throw complaint(model, 'imagen.tile_sizes', dims, String(stranger));
  }
  if (plans.includes('whole') && (width !== -1 || height !== -1)) {
    throw complaint(model, 'imagen.plans', `no plan whole, because of ${dims}`, JSON.stringify(plans));
  }
}

function checkKeys({ model, parameters }: ModelDescription): void {
  for (const name of Object.keys(parameters)) {
    const match = /^imagen\.(?:v[1-9][0-9]*\.)?(.+)$/.exec(name);
    if (match && !KEY_NAMES.some((key) => key === match[1])) {
      throw complaint(model, name, `one of ${KEY_NAMES.map((key) => `imagen.${key}`).join(', ')}`, 'an unknown key');
    }
  }
}

function requireTensor(
  model: string,
  tensors: readonly TensorDescription[],
  name: string,
  datatype: string,
  side: 'input' | 'output',
): TensorDescription {
  const tensor = tensors.find((candidate) => candidate.name === name);
  if (!tensor) {
    throw complaint(model, `${side} ${name}`, `a ${datatype} tensor`, tensors.map((t) => t.name).join(', ') || 'none');
  }
  if (tensor.datatype !== datatype) throw complaint(model, `${side} ${name}`, datatype, tensor.datatype);
  return tensor;
}

/** Checks dimensions. `undefined` in `dims` permits any size, and so does a declared −1. @throws ContractError */
function requireDims(model: string, key: string, tensor: TensorDescription, dims: readonly (number | undefined)[]) {
  const fits =
    tensor.dims.length === dims.length &&
    dims.every((side, index) => side === undefined || tensor.dims[index] === side || tensor.dims[index] === -1);
  if (!fits) {
    const expected = dims.map((side) => side ?? 'any').join(', ');
    throw complaint(model, key, `dims [${expected}]`, `[${tensor.dims.join(', ')}]`);
  }
}

function complaint(model: string, key: string, expected: string, given: string): ContractError {
  return new ContractError(`model ${model}: ${key}: expected ${expected}, given ${given}`);
}
