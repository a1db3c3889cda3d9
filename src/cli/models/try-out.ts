/** Runs the versions of a model on a real Triton, and checks their answers and seams against the contract. */
import { isDeepStrictEqual } from 'node:util';
import type { ModelContract, VersionContract } from '../../domain/contract.js';
import { JobError } from '../../domain/errors.js';
import type { ModelServer } from '../../domain/ports.js';
import type { Raster, Size } from '../../domain/raster.js';
import { createTensor, originTensor } from '../../domain/tensor.js';
import { atOnce } from '../../pipeline/codec.js';
import { whyImplausible } from '../../pipeline/plausible.js';
import { PLAN_TABLE } from '../../pipeline/plans/index.js';
import type { Send, Shape } from '../../pipeline/plans/plan.js';
import { reachTriton } from '../reach.js';
import { withTriton } from '../with-triton.js';
import type { Fault } from './rules.js';

export interface Tried {
  readonly version: string;
  /** Plans that answered as the contract says. */
  readonly plans: readonly string[];
  /** Largest difference between the tiled picture and the whole one, in levels of 255; absent without both plans. */
  readonly seam?: number;
}
export interface TriedOut {
  readonly tried: readonly Tried[];
  /** Versions of the directory that this Triton does not serve. */
  readonly notServed: readonly string[];
  readonly faults: readonly Fault[];
}

/** An inference on a CPU may take a minute. */
const INFER_MS = 300_000;
/** Side of a picture where no tile says otherwise. */
const SIDE = 64;

/** @throws CommandFailed if Triton does not answer */
export async function tryOut(url: string, contract: ModelContract, signal: AbortSignal): Promise<TriedOut> {
  const faults: Fault[] = [];
  const tried: Tried[] = [];
  const notServed: string[] = [];
  await withTriton({ url, inferTimeoutMs: INFER_MS }, async (server) => {
    await reachTriton(server, url);
    const served = server.contracts().get(contract.model);
    for (const [version, own] of contract.versions) {
      const there = served?.versions.get(version);
      if (!served || !there) notServed.push(version);
      else if (!isDeepStrictEqual(there, own)) {
        faults.push(fault(version, 'contract', `what Triton serves: ${JSON.stringify(there)}`, JSON.stringify(own)));
      } else tried.push(await tryVersion(server, served, version, own, faults, signal));
    }
  });
  return { tried, notServed, faults };
}

async function tryVersion(
  server: ModelServer,
  model: ModelContract,
  version: string,
  contract: VersionContract,
  faults: Fault[],
  signal: AbortSignal,
): Promise<Tried> {
  const raster = noise(sizeFor(contract));
  const answers = new Map<string, Buffer>();
  for (const plan of contract.plans) {
    const [shape] = PLAN_TABLE[plan].shapes(contract, raster);
    if (!shape) continue;
    try {
      answers.set(plan, await run(server, model, version, contract, raster, shape, signal));
    } catch (error) {
      if (!(error instanceof JobError)) throw error;
      faults.push(fault(version, `plan ${plan}`, `an answer of ${model.output} as the contract says`, error.message));
    }
  }
  const [tiled, whole] = [answers.get('tile'), answers.get('whole')];
  if (!tiled || !whole) return { version, plans: [...answers.keys()] };
  const seam = largestDifference(tiled, whole);
  if (seam > contract.seamTolerance) {
    faults.push(
      fault(version, 'imagen.seam_tolerance', `${seam} or more, or a larger margin`, String(contract.seamTolerance)),
    );
  }
  return { version, plans: [...answers.keys()], seam };
}

const fault = (version: string, field: string, expected: string, given: string): Fault => ({
  ...{ file: `${version}/`, field, expected, given },
});

/** Two tiles side by side, so that there is a seam; a smaller picture where a whole one would be too large. */
function sizeFor({ plans, tileSizes, margin, maxWholePixels, fitSize }: VersionContract): Size {
  const [side = SIDE] = tileSizes;
  if (!plans.includes('tile')) return fitSize ?? { width: SIDE, height: SIDE };
  const width = 2 * side - 2 * margin;
  return { width, height: Math.max(1, Math.min(side, Math.floor(maxWholePixels / width))) };
}

/** Waves with noise, the same every time: networks have something to see, and every seam something to differ in. */
function noise({ width, height }: Size): Raster {
  const rgb = Buffer.alloc(width * height * 3);
  let state = 20_261_128;
  for (let i = 0; i < rgb.length; i++) {
    state = (state * 48_271) % 2_147_483_647;
    const wave = 90 * Math.sin((i % (width * 3)) / 40) * Math.cos(i / (width * 33));
    rgb[i] = Math.max(0, Math.min(255, Math.round(128 + wave + (state % 61) - 30)));
  }
  return { width, height, rgb };
}

async function run(
  server: ModelServer,
  model: ModelContract,
  version: string,
  contract: VersionContract,
  raster: Raster,
  shape: Shape,
  signal: AbortSignal,
): Promise<Buffer> {
  const send: Send = async (cut, paste) => {
    const view = await cut(shape);
    const image = createTensor('image', 'UINT8', [view.height, view.width, 3], view.rgb);
    const origin = originTensor(view.x, view.y, raster.width, raster.height);
    const inputs = model.takesOrigin ? [image, origin] : [image];
    const request = {
      model: model.model,
      version,
      inputs,
      output: model.output,
      priority: 'batch',
      parameters: {},
    } as const;
    const { output } = await server.infer(request, signal);
    // As a worker judges it, which would fail the job.
    const wrong = whyImplausible(view, output.data, contract.scale, model.output === 'mask' ? 1 : 3);
    if (wrong !== undefined) throw new JobError('MODEL_OUTPUT_INVALID', wrong, { stage: 'infer' });
    paste(output, shape);
  };
  const channels = model.output === 'mask' ? 1 : 3;
  return (await PLAN_TABLE[shape.plan].execute(raster, shape, contract, channels, send, atOnce)).data;
}

function largestDifference(a: Buffer, b: Buffer): number {
  let largest = Math.abs(a.length - b.length) > 0 ? 255 : 0;
  for (let i = 0; i < Math.min(a.length, b.length); i++)
    largest = Math.max(largest, Math.abs((a[i] ?? 0) - (b[i] ?? 0)));
  return largest;
}
