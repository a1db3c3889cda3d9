/** Stitched pictures against whole ones, by the same version of the same model; for the seam tests and the benchmark. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { capacityOf } from '../../../src/domain/capacity.js';
import type { ModelContract, VersionContract } from '../../../src/domain/contract.js';
import type { ModelServer } from '../../../src/domain/ports.js';
import type { Raster, Size } from '../../../src/domain/raster.js';
import { createTensor, originTensor, type Tensor } from '../../../src/domain/tensor.js';
import { atOnce as codec } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { PLAN_TABLE } from '../../../src/pipeline/plans/index.js';
import type { Send, Shape, View } from '../../../src/pipeline/plans/plan.js';
import { transform } from '../../../src/pipeline/transform.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { root } from '../../dev/stack/paths.js';

export interface Tiled {
  readonly model: ModelContract;
  readonly version: string;
  readonly contract: VersionContract;
}

/** Levels of 255 that stitched pixels may differ where the margin covers the receptive radius: the contract's default. */
export const EXACT = 1;

/** Every version that a server offers with the plan `tile`, its own and those of others. */
export function tiledVersions(models: ModelServer): Tiled[] {
  return [...models.contracts().values()].flatMap((model) =>
    [...model.versions]
      .filter(([, contract]) => contract.plans.includes('tile'))
      .map(([version, contract]) => ({ model, version, contract })),
  );
}

/**
 * A photograph with what it lacks: waves that grow finer to the right, hard edges, noise; the same pixels every time.
 */
export async function scenery({ width, height }: Size, photo = 'coffee'): Promise<Raster> {
  const file = await readFile(join(root, `test/fixtures/photos/${photo}.jpg`));
  const rgb = await sharp(file).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
  let state = 20_261_124;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const wave = 24 * Math.sin((x * x) / (1.5 * width)) * Math.cos(y / 9);
      const block = (Math.floor(x / 23) + Math.floor(y / 31)) % 2 ? 14 : -14;
      for (let channel = 0; channel < 3; channel++) {
        state = (state * 48_271) % 2_147_483_647;
        const at = (y * width + x) * 3 + channel;
        const sign = channel === 1 ? -1 : 1;
        rgb[at] = clamp((rgb[at] ?? 0) + sign * (wave + block) + ((state % 33) - 16));
      }
    }
  }
  return { width, height, rgb };
}

/** The upper left part of a picture. @throws RangeError where the picture is smaller */
export function corner({ width, height, rgb }: Raster, size: Size): Raster {
  if (size.width > width || size.height > height) throw new RangeError(`${width}x${height} has no such corner`);
  return { ...size, rgb: rowsOf(rgb, width * 3, size.width * 3, size.height) };
}

/** The beginnings, of so many bytes, of so many rows. */
const rowsOf = (data: Buffer, pitch: number, bytes: number, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, y) => data.subarray(y * pitch, y * pitch + bytes)));

export async function stitched(models: ModelServer, tiled: Tiled, side: number, raster: Raster): Promise<Buffer> {
  const { contract } = tiled;
  const [shape] = PLAN_TABLE.tile.shapes({ ...contract, tileSizes: [side] }, raster);
  if (!shape) throw new RangeError(`model ${tiled.model.model} has no tiles of ${side}`);
  return send(models, tiled, shape, raster);
}

/**
 * What the worker makes of a picture in one request, alone or padded to a larger window.
 * @param more pixels by which the window is larger than it need be
 */
export async function whole(
  models: ModelServer,
  tiled: Tiled,
  raster: Raster,
  more: Size = { width: 0, height: 0 },
): Promise<Buffer> {
  const contract = { ...tiled.contract, plans: ['tile', 'whole'] as const, maxWholePixels: Infinity };
  const [shape] = PLAN_TABLE.whole.shapes(contract, raster);
  if (!shape) throw new RangeError(`model ${tiled.model.model} takes no whole picture`);
  const window = { width: shape.width + more.width, height: shape.height + more.height };
  return send(models, tiled, { ...shape, ...window }, raster);
}

async function send(models: ModelServer, tiled: Tiled, shape: Shape, raster: Raster): Promise<Buffer> {
  const inTurn = atMost(capacityOf(tiled.model).inFlight);
  const plan = PLAN_TABLE[shape.plan];
  const send: Send = (cut, paste) =>
    inTurn(async () => paste(await ask(models, tiled, await cut(shape), raster), shape));
  const { data } = await plan.execute(raster, shape, tiled.contract, channelsOf(tiled), send, codec);
  return data;
}

/** Runs what it is given, so many at once: Triton's queues are bounded. */
function atMost(limit: number): (task: () => Promise<void>) => Promise<void> {
  const lanes: Promise<void>[] = Array.from({ length: limit }, () => Promise.resolve());
  let next = 0;
  return (task) => {
    const lane = next++ % limit;
    return (lanes[lane] = (lanes[lane] ?? Promise.resolve()).then(task));
  };
}

/** What the model itself makes of a picture, without a border. */
export async function bare(models: ModelServer, tiled: Tiled, raster: Raster): Promise<Buffer> {
  return (await ask(models, tiled, { x: 0, y: 0, ...raster }, raster)).data;
}

/** One picture's way through a worker's own scheduling. Pictures that wait together share batches and windows. */
export type Scheduled = (raster: Raster, plans?: readonly ('tile' | 'whole')[]) => ReturnType<typeof transform>;

export function workerOf(models: ModelServer, { model, version, contract }: Tiled): Scheduled {
  const share = createFairShare({
    capacityOf: () => capacityOf(model),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: 0, failedAttempts: 1 },
  });
  const routed = { operation: { model: model.model }, model, version, contract, parameters: {} };
  return (raster, plans = ['tile', 'whole']) => {
    const shapes = plans.flatMap((plan) => PLAN_TABLE[plan].shapes(contract, raster));
    const signal = new AbortController().signal;
    const options = { models, schedule: share.scheduler({}), codec, priority: 'batch' as const, signal };
    const outlook = { ...DEFAULT_COST, jobsAtOnce: 8 };
    return transform(raster, { routed, shapes }, { ...options, predict: () => outlook });
  };
}

export function apart(a: Buffer, b: Buffer): { readonly largest: number; readonly mean: number } {
  if (a.length !== b.length) throw new RangeError(`pictures of ${a.length} and ${b.length} bytes`);
  let [largest, sum] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] ?? 0) - (b[i] ?? 0));
    sum += difference;
    largest = Math.max(largest, difference);
  }
  return { largest, mean: sum / a.length };
}

async function ask(models: ModelServer, { model, version }: Tiled, view: View, whole: Size): Promise<Tensor> {
  const image = createTensor('image', 'UINT8', [view.height, view.width, 3], view.rgb);
  const origin = originTensor(view.x, view.y, whole.width, whole.height);
  const { output } = await models.infer(
    {
      ...{ model: model.model, version, output: model.output, priority: 'batch', parameters: {} },
      inputs: model.takesOrigin ? [image, origin] : [image],
    },
    new AbortController().signal,
  );
  return output;
}

const channelsOf = ({ model }: Tiled): 1 | 3 => (model.output === 'mask' ? 1 : 3);

const clamp = (value: number): number => Math.max(0, Math.min(255, value));
