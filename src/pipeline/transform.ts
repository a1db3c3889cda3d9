import { setMaxListeners } from 'node:events';
import type { Step } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import type { Arm } from '../domain/experiment.js';
import type { Claimant } from '../domain/job.js';
import type { InferenceResult, ModelServer } from '../domain/ports.js';
import { releasePixels } from '../domain/pixel-memory.js';
import { isSameSize, type Raster, type Size } from '../domain/raster.js';
import { anyOf } from '../domain/signals.js';
import { createTensor, originTensor } from '../domain/tensor.js';
import { addAttributes, addEvent } from '../tracing/spans.js';
import { createAttempts } from './attempts.js';
import type { Codec } from './codec.js';
import { chooseShape, DEFAULT_COST, type Outlook, type Predict } from './cost.js';
import { byContractNow } from './contract-now.js';
import { enlarge } from './enlarge.js';
import { makeGrey } from './grey.js';
import { extendColours, onGround } from './hidden-colours.js';
import { applyMask } from './mask.js';
import type { PlannedStep } from './plan.js';
import { PLAN_TABLE } from './plans/index.js';
import type { Answer, Send, Shape, View } from './plans/plan.js';
import { isExact } from './plans/window.js';
import { whyImplausible } from './plausible.js';
import { reasonToStop } from './retry.js';

/** The properties of a request that decide its batch. Only requests of one version and one shape can share a batch. */
export interface PlannedRequest extends Claimant {
  readonly model: string;
  readonly version: string;
  readonly shape: Size & Pick<Shape, 'mayGrow' | 'runPixels'>;
  /**
   * When the job was last seen to be a possible cause of a dead or silent server, by `performance.now()`. All its requests
   * then go apart. Absent for nearly all jobs.
   */
  readonly suspectSince?: number | undefined;
}

/**
 * Schedules the requests of one job. It runs the task when the model has capacity and it is this job's turn, and passes
 * it the window to fill. It retries the task when its error permits that. The worker implements it, because it knows the
 * other jobs.
 */
export type RequestScheduler = <T>(
  request: PlannedRequest,
  task: (window: Size, turn: Turn) => Promise<T>,
  signal: AbortSignal,
) => Promise<T>;

/** How to send a request. */
export interface Turn {
  /** No other request of this worker is in flight with it. */
  readonly apart: boolean;
  /** Copies of the request in its batch. A request with as many copies as a batch holds shares it with no other. */
  readonly copies: number;
  /** Send a blank picture instead, to find out whether the version answers at all. The answer is not used. */
  readonly probe?: boolean;
}

export interface TransformOptions extends Claimant {
  readonly models: ModelServer;
  readonly schedule: RequestScheduler;
  readonly codec: Codec;
  readonly predict: Predict;
  /** Whether the job keeps the colours beneath transparent pixels. The model then sees them. */
  readonly keepHidden?: boolean | undefined;
  readonly signal: AbortSignal;
}

export interface Transformed {
  readonly raster: Raster;
  readonly step: Step;
  readonly work: StepWork;
}

/** What the requests of a step have cost. */
export interface StepWork {
  /** Pixels of all requests. */
  readonly computed: number;
  /** The same, with each pixel of the picture counted once. */
  readonly useful: number;
  /** Sum over the requests of the time from sending to the answer, of the attempt that was answered. */
  readonly seconds: number;
}

/**
 * Runs one operation on one picture: cut, infer, stitch. When the model has too little memory for a request, it tries
 * smaller requests, if the contract permits them. If none is left, the last error says whether the job is the cause.
 * @throws JobError of stage `infer`
 */
export async function transform(raster: Raster, planned: PlannedStep, options: TransformOptions): Promise<Transformed> {
  const { model } = planned.routed;
  let { shapes } = planned;
  for (;;) {
    const shape = chooseShape(shapes, outlookFor(planned.routed, options), model.maxBatchSize);
    try {
      return await transformIn(shape, raster, planned, options);
    } catch (thrown) {
      if (!(thrown instanceof JobError) || options.signal.aborted) throw thrown;
      if (!thrown.outOfMemory) throw await byContractNow(thrown, [planned.routed], options.models, options.signal);
      shapes = shapes.filter((other) => other.width * other.height < shape.width * shape.height);
      if (shapes.length === 0) throw thrown;
      addEvent('tries smaller requests', { 'imagen.plan': shape.plan, 'error.type': thrown.code });
    }
  }
}

/** If a model's shapes give different pictures, the choice must not depend on what else the worker does. */
function outlookFor({ model, version, contract }: PlannedStep['routed'], { predict }: TransformOptions): Outlook {
  const alike = isExact(contract) && !contract.plans.includes('fit');
  return alike ? predict(model.model, version) : { ...DEFAULT_COST, jobsAtOnce: 1 };
}

async function transformIn(
  shape: Shape,
  raster: Raster,
  planned: PlannedStep,
  options: TransformOptions,
): Promise<Transformed> {
  const { routed } = planned;
  const { model, version, contract } = routed;
  const channels = model.output === 'mask' ? 1 : 3;
  const seen = await seenBy(raster, planned, options);
  const servedVersions = new Set<string>();
  const attempts = createAttempts(routed);
  let computed = 0;
  let seconds = 0;
  /** The error of the last request that has ended, if it failed. */
  let last: unknown;

  // The first request that fails cancels the others, because their tiles are no longer needed.
  const stop = new AbortController();
  const { signal, release } = anyOf([options.signal, stop.signal]);
  setMaxListeners(0, signal); // every tile adds a listener
  const send: Send = async (cut, paste) => {
    const attempt = attempts.ofOneRequest();
    try {
      await options.schedule(
        { model: model.model, version, priority: options.priority, tenant: options.tenant, shape },
        async (window, { copies, probe }) => {
          signal.throwIfAborted();
          if (probe) {
            await askBlank(window, planned, options, signal);
            return;
          }
          const view = await cut(window);
          const sentAt = performance.now();
          const asked = attempt(view, () => ask(raster, view, planned, copies, options, signal));
          asked.then(
            () => (last = undefined),
            (thrown: unknown) => thrown !== signal.reason && (last = thrown),
          );
          const result = await asked;
          servedVersions.add(result.version);
          computed += window.width * window.height;
          seconds += (performance.now() - sentAt) / 1000;
          paste(checkAnswer(result, view, planned, channels), window);
          if (view.rgb !== seen.rgb) releasePixels(view.rgb);
        },
        signal,
      );
    } catch (thrown) {
      stop.abort(thrown);
      throw thrown;
    }
  };

  addAttributes(() => ({
    'imagen.model': model.model,
    'imagen.version': version,
    'imagen.plan': shape.plan,
    'imagen.requests': shape.requests,
  }));
  let answer: Answer;
  try {
    answer = await PLAN_TABLE[shape.plan].execute(seen, shape, contract, channels, send, options.codec);
  } catch (thrown) {
    throw options.signal.aborted ? reasonToStop(options.signal, last) : thrown;
  } finally {
    release();
    addAttributes(() => attempts.counted());
  }
  const step: Step = {
    model: model.model,
    ...(routed.operation.version === undefined ? {} : { requestedVersion: routed.operation.version }),
    servedVersion: [...servedVersions].join(','),
    plan: shape.plan,
    requests: shape.requests,
    ...(routed.arm === undefined ? {} : nameArm(routed.arm)),
  };
  const work = { computed, useful: PLAN_TABLE[shape.plan].useful(raster, shape, contract), seconds };
  return { raster: await merged(answer, raster, seen, options.codec), step, work };
}

/** Makes the answer the new picture. Its alpha is the picture's own, or comes from the mask. A grey picture stays grey. */
async function merged(answer: Answer, before: Raster, seen: Raster, codec: Codec): Promise<Raster> {
  if (answer.channels === 3 && before.grey) await makeGrey(answer.data);
  const after =
    answer.channels === 1 ? await applyMask(before, answer.data, codec, seen.rgb) : await withAlpha(answer, before);
  return before.grey ? { ...after, grey: true } : after;
}

/**
 * The picture as the model is to see it. Colours beneath transparent pixels would bleed into its answer. So a model that
 * returns an image sees the visible colours extended into hidden areas, and one that returns a mask sees the picture on
 * an even ground.
 */
async function seenBy(raster: Raster, { routed }: PlannedStep, { keepHidden }: TransformOptions): Promise<Raster> {
  if (!raster.alpha) return raster;
  if (routed.model.output === 'mask') return { ...raster, rgb: await onGround(raster) };
  if (!keepHidden) await extendColours(raster.rgb, raster.alpha, raster);
  return raster;
}

/** The fields by which a step names its arm. */
export const nameArm = ({ experiment, name }: Arm) => ({ experiment, arm: name });

/** Sends one view of a picture as one request. @param whole only its size matters, for the input `origin` */
export function ask(
  whole: Size,
  view: View,
  { routed }: Pick<PlannedStep, 'routed'>,
  copies: number,
  { models, priority }: Pick<TransformOptions, 'models' | 'priority'>,
  signal: AbortSignal,
): Promise<InferenceResult> {
  const image = createTensor('image', 'UINT8', [view.height, view.width, 3], view.rgb);
  return models.infer(
    {
      model: routed.model.model,
      version: routed.version,
      inputs: routed.model.takesOrigin ? [image, originTensor(view.x, view.y, whole.width, whole.height)] : [image],
      output: routed.model.output,
      priority,
      parameters: routed.parameters,
      copies,
    },
    signal,
  );
}

/** Asks with a black picture, without the job's parameters: it must show whether the version answers, whatever the job is. */
function askBlank(
  { width, height }: Size,
  planned: PlannedStep,
  options: TransformOptions,
  signal: AbortSignal,
): Promise<InferenceResult> {
  const view = { x: 0, y: 0, width, height, rgb: Buffer.alloc(width * height * 3) };
  const routed = { ...planned.routed, parameters: {} };
  return ask(view, view, { ...planned, routed }, 1, options, signal);
}

/** @throws JobError `MODEL_OUTPUT_INVALID` when the output does not match the contract, or cannot be right */
function checkAnswer({ output }: InferenceResult, view: View, { routed }: PlannedStep, channels: 1 | 3) {
  const { scale } = routed.contract;
  const expected = [view.height * scale, view.width * scale, channels];
  if (output.datatype !== 'UINT8' || output.shape.join() !== expected.join()) {
    const given = `${output.datatype} [${output.shape.join(', ')}]`;
    throw new JobError(
      'MODEL_OUTPUT_INVALID',
      `model ${routed.model.model}: output ${output.name}: expected UINT8 [${expected.join(', ')}], given ${given}`,
    );
  }
  const wrong = whyImplausible(view, output.data, scale, channels);
  if (wrong !== undefined) {
    throw new JobError('MODEL_OUTPUT_INVALID', `model ${routed.model.model}: output ${output.name}: ${wrong}`);
  }
  return output;
}

/** Adds the picture's own alpha to the answer of a model that returns only colours. Enlarges it if the model scales. */
async function withAlpha({ width, height, data }: Answer, before: Raster): Promise<Raster> {
  if (!before.alpha) return { width, height, rgb: data };
  if (isSameSize({ width, height }, before)) return { width, height, rgb: data, alpha: before.alpha };
  const small = { width: before.width, height: before.height, channels: 1, data: before.alpha } as const;
  return { width, height, rgb: data, alpha: await enlarge(small, { width, height }) };
}
