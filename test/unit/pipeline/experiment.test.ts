import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError } from '../../../src/domain/errors.js';
import type { Arm, ArmEnd, GuardLimits } from '../../../src/domain/experiment.js';
import { parseJob } from '../../../src/domain/job.js';
import { parseRoutes } from '../../../src/domain/routes.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { JobContext } from '../../../src/pipeline/job-context.js';
import { JobState } from '../../../src/pipeline/job-state.js';
import { localSteps, runSteps } from '../../../src/pipeline/run.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { type Answer, memoryModels } from '../../support/memory-models.js';

const gives: Answer = ({ inputs: [image = expect.fail()] }) => image;
const throws =
  (...[code, words = 'no', options]: Partial<ConstructorParameters<typeof JobError>>): Answer =>
  () =>
    Promise.reject(new JobError(code ?? 'INTERNAL', words, options));

interface World {
  /** Of the one model there is, by version. */
  readonly versions?: Readonly<Record<string, Answer>>;
  /** Beside those that hold for all its versions. */
  readonly contract?: Readonly<Record<string, string>>;
  readonly stopped?: boolean;
  /** Whether the arm is stopped once the job is routed. */
  readonly stoppedLater?: () => boolean;
  readonly guard?: Partial<GuardLimits>;
  /** How long requests wait in place while their model is away. */
  readonly waitMs?: number;
  /** Ends the job while its first request is at the model. */
  readonly abortWith?: JobError;
  readonly key?: string | undefined;
  readonly operations?: readonly (string | object)[];
  readonly side?: number;
  /** An even picture of `side`, where left out. */
  readonly picture?: Buffer;
}

const routesWith = (guard?: Partial<GuardLimits>) =>
  parseRoutes(
    JSON.stringify({
      models: {
        m: {
          default: '1',
          experiment: {
            ...(guard && { guard: { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60, ...guard } }),
            name: 'x',
            arms: [
              { name: 'old', version: '1', weight: 0 },
              { name: 'new', version: '2', weight: 1 },
            ],
          },
        },
      },
    }),
  );

/** Routes and renders one job, of whose key version 2 is the arm's. */
async function run(world: World) {
  const { versions = { 1: gives, 2: gives }, contract = {}, operations = ['m'], side = 20 } = world;
  const tensor = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
  const asked: string[] = [];
  const model = readContract({
    ...{ model: 'm', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
    ...{ inputs: [tensor], outputs: [tensor], readyVersions: Object.keys(versions) },
    parameters: { 'imagen.plans': '["tile"]', 'imagen.tile_sizes': '[16]', 'imagen.margin': '2', ...contract },
  });
  const models = memoryModels([model], (request, signal) => {
    asked.push(request.version);
    if (world.abortWith) setImmediate(() => limit.abort(world.abortWith));
    return (versions[request.version] ?? expect.fail())(request, signal);
  });
  const job = parseJob(Buffer.from(JSON.stringify({ jobId: 'a', operations, input: { uri: 'gs://in/a' } })));
  const limit = new AbortController();
  const context = new JobContext(limit.signal, 0);
  const ends: [string, ArmEnd][] = [];
  const errors: (string | undefined)[] = [];
  const key = 'key' in world ? world.key : 'somebody';
  const options = {
    ...{
      routes: routesWith(world.guard),
      waitMs: 0,
      stopped: (arm: Arm) => world.stopped === true && arm.name === 'new',
    },
    ...(key === undefined ? {} : { key }),
  };
  const share = createFairShare({
    capacityOf: () => ({ inFlight: 4, batch: 8, instances: 1, runs: 4, growMs: 0, pauseMs: 0 }),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: world.waitMs ?? 0, failedAttempts: 2, maxDelayMs: 1 },
  });
  const work = async () => {
    const parts = { models, schedule: share.scheduler(job) };
    const state = new JobState(job, context, parts, {
      ...{ maxInputPixels: 1e6, maxOutputPixels: 1e6, reserve: () => Promise.resolve(() => undefined) },
      codecs: () => atOnce,
      predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
      route: () => options,
      onArm(arm, end, { error }) {
        ends.push([arm.name, end]);
        errors.push(error?.code);
      },
      isStopped: () => world.stoppedLater?.() ?? false,
    });
    state.bytes = world.picture ?? (await square(side));
    await runSteps(localSteps(job), state);
    return state.encoded;
  };
  const done = await work().catch((error: unknown) => error);
  return {
    done,
    asked: new Set(asked),
    requests: asked.length,
    steps: context.steps,
    last: context.last,
    ends,
    errors,
    limit,
  };
}

const square = (side: number) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#345' } })
    .png()
    .toBuffer();

const ON_ARM = { servedVersion: '2', experiment: 'x', arm: 'new' };
const IN_NO_ARM = { model: 'm', servedVersion: '1', plan: 'tile', requests: 4 };

describe('a job of an experiment', () => {
  it("is done by its arm's version, and its step says so", async () => {
    const { steps, ends, last, asked } = await run({});
    expect(steps).toEqual([{ ...IN_NO_ARM, ...ON_ARM }]);
    expect(ends).toEqual([['new', 'done']]);
    expect(last).toMatchObject({ version: '2', arm: { name: 'new' } });
    expect(asked).toEqual(new Set(['2']));
  });

  const parameters = { 'imagen.v1.parameters': '{"type":"object","properties":{"grain":{"type":"number"}}}' };
  it.each<[string, World]>([
    ['the guard has stopped the arm', { stopped: true }],
    ["the arm's version is not served", { versions: { 1: gives } }],
    [
      'only the default version takes its parameters',
      { contract: parameters, operations: [{ model: 'm', parameters: { grain: 1 } }] },
    ],
    [
      "the parameters' schema of the arm's version is none",
      { contract: { ...parameters, 'imagen.v2.parameters': '{"type":"nonsense"}' } },
    ],
    [
      'only the default version can hold the picture',
      { contract: { 'imagen.v2.plans': '["whole"]', 'imagen.v2.max_whole_pixels': '99' } },
    ],
    [
      'it is of another scale, too',
      { contract: { 'imagen.v2.scale': '4', 'imagen.v2.plans': '["whole"]', 'imagen.v2.max_whole_pixels': '99' } },
    ],
    ['the arm would make the picture too large', { contract: { 'imagen.v2.scale': '64' } }],
    ['the job has no key', { key: undefined }],
  ])('is done by the default version, and in no arm, where %s', async (_name, world) => {
    const { steps, ends, last, asked } = await run(world);
    expect(steps).toEqual([IN_NO_ARM]);
    expect(ends).toEqual([]);
    expect(last?.version).toBe('1');
    expect(last?.arm).toBeUndefined();
    expect(asked).toEqual(new Set(['1']));
  });

  it('is in none where it names a version, whichever', async () => {
    for (const version of ['1', '2']) {
      const { steps, ends } = await run({ operations: [{ model: 'm', version }] });
      expect(steps).toEqual([{ ...IN_NO_ARM, servedVersion: version, requestedVersion: version }]);
      expect(ends).toEqual([]);
    }
  });

  it('is told what no version takes', async () => {
    const { done } = await run({ operations: [{ model: 'm', parameters: { nonsense: 1 } }] });
    expect(done).toMatchObject({ code: 'INVALID_PARAMETERS' });
  });
});

describe("an operation that fails on its arm's version", () => {
  const wrongSize: Answer = () => createTensor('image', 'UINT8', [1, 1, 3], Buffer.alloc(3));

  it.each<[string, Answer]>([
    ['an error of its own', throws('INFERENCE_FAILED')],
    ['a refusal', throws('MODEL_REJECTED_INPUT')],
    ['an answer of another size', wrongSize],
    ['the end of its process', throws('MODEL_UNAVAILABLE', 'no', { costsAttempt: true })],
    ['want of memory', throws('MODEL_UNAVAILABLE', 'no', { outOfMemory: true })],
  ])('is done again on the default version: %s', async (_name, fails) => {
    const { done, steps, ends, last } = await run({ versions: { 1: gives, 2: fails } });
    expect(done).toMatchObject({ width: 20, height: 20 });
    expect(steps).toEqual([{ ...IN_NO_ARM, experiment: 'x', arm: 'new', fallbackFrom: '2' }]);
    expect(ends).toEqual([['new', 'failed']]);
    expect(last).toMatchObject({ version: '1', arm: { name: 'new' } });
  });

  it('goes there with the plan that the default version has for the picture', async () => {
    const contract = { 'imagen.v1.tile_sizes': '[8]' };
    const { steps } = await run({ versions: { 1: gives, 2: throws('INFERENCE_FAILED') }, contract });
    expect(steps).toMatchObject([{ requests: 25, fallbackFrom: '2' }]);
  });

  it('goes there when the arm turns a picture black', async () => {
    const black: Answer = async (request, signal) => {
      const output = await gives(request, signal);
      return { ...output, data: Buffer.alloc(output.data.length) };
    };
    const rgb = Buffer.from(Array.from({ length: 40 * 40 * 3 }, (_, i) => (i * 7) % 256));
    const picture = await sharp(rgb, { raw: { width: 40, height: 40, channels: 3 } })
      .png()
      .toBuffer();
    const contract = { 'imagen.plans': '["whole"]' };
    const { steps, ends } = await run({ versions: { 1: gives, 2: black }, contract, picture });
    expect(steps).toMatchObject([{ servedVersion: '1', fallbackFrom: '2' }]);
    expect(ends).toEqual([['new', 'failed']]);
  });

  it('takes the others of its job along: each falls back by itself', async () => {
    let calls = 0;
    const first: Answer = (request, signal) =>
      request.inputs[0] && calls++ === 0 ? throws('MODEL_REJECTED_INPUT')(request, signal) : gives(request, signal);
    const { steps, ends, last } = await run({ versions: { 1: gives, 2: first }, operations: ['m', 'm'], side: 12 });
    expect(steps).toMatchObject([{ fallbackFrom: '2', servedVersion: '1' }, ON_ARM]);
    expect(ends).toEqual([
      ['new', 'failed'],
      ['new', 'done'],
    ]);
    expect(last?.version).toBe('2');
  });

  it('ends with the error of the default version where that fails too, which accuses nobody', async () => {
    const versions = { 1: throws('MODEL_REJECTED_INPUT', 'of 1'), 2: throws('INFERENCE_FAILED', 'of 2') };
    const { done, ends, last, steps } = await run({ versions });
    expect(done).toMatchObject({ code: 'MODEL_REJECTED_INPUT', message: 'of 1', stage: 'infer' });
    expect(ends).toEqual([['new', 'unclear']]);
    expect(last).toMatchObject({ version: '1', arm: { name: 'new' } });
    expect(steps).toEqual([]);
  });

  it('waits with the default version where that is away, which accuses nobody: it will be asked again', async () => {
    const { done, ends } = await run({ versions: { 1: throws('MODEL_UNAVAILABLE'), 2: throws('INFERENCE_FAILED') } });
    expect(done).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    expect(ends).toEqual([]);
  });

  it('has no other version where the default makes something else of it', async () => {
    const { done, ends, asked } = await run({
      ...{ versions: { 1: gives, 2: throws('INFERENCE_FAILED') }, contract: { 'imagen.v1.scale': '2' } },
    });
    expect(done).toMatchObject({ code: 'INFERENCE_FAILED' });
    expect(ends).toEqual([['new', 'failed']]);
    expect(asked).toEqual(new Set(['2']));
  });

  it.each(['MODEL_UNAVAILABLE', 'MODEL_OVERLOADED', 'INTERNAL', 'EXECUTION_TIMEOUT'] as const)(
    'does not fall back for %s, and does not count',
    async (code) => {
      const { done, ends, asked } = await run({ versions: { 1: gives, 2: throws(code) } });
      expect(done).toMatchObject({ code });
      expect(ends).toEqual([]);
      expect(asked).toEqual(new Set(['2']));
    },
  );
});

describe('an operation on an arm with a time limit', () => {
  const guard = { maxSeconds: 0.1 };
  /** Ends only when the request is given up. */
  const hangs: Answer = (_request, signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  const after =
    (ms: number): Answer =>
    async (request, signal) => {
      await sleep(ms, undefined, { signal });
      return gives(request, signal);
    };

  it('is given up when the arm hangs, and done by the default version', async () => {
    const { done, steps, ends, errors } = await run({ versions: { 1: gives, 2: hangs }, guard });
    expect(done).toMatchObject({ width: 20 });
    expect(steps).toMatchObject([{ servedVersion: '1', fallbackFrom: '2', arm: 'new' }]);
    expect([ends, errors]).toEqual([[['new', 'failed']], ['EXECUTION_TIMEOUT']]);
  });

  it('does not tell that its request went unanswered, so that its job is no suspect', async () => {
    const silent: Answer = async (request, signal) => {
      await sleep(30, undefined, { signal });
      return throws('MODEL_UNAVAILABLE', 'late', { unanswered: 'late' })(request, signal);
    };
    const away = throws('MODEL_UNAVAILABLE', 'away');
    const { done, ends } = await run({
      versions: { 1: away, 2: silent },
      guard,
      waitMs: 5_000,
    });
    expect(done).toMatchObject({ code: 'MODEL_UNAVAILABLE', message: 'away', unanswered: undefined });
    expect(ends).toEqual([]);
  });

  it('may take longer if its arm has no limit, or no other version can do it', async () => {
    for (const world of [{ guard: {} }, { guard, contract: { 'imagen.v1.scale': '2' } }]) {
      const { steps, ends } = await run({ versions: { 1: hangs, 2: after(200) }, ...world });
      expect(steps).toMatchObject([ON_ARM]);
      expect(ends).toEqual([['new', 'done']]);
    }
  });

  it('goes to the default version, in no arm, when its arm is stopped before its turn', async () => {
    let routed = false;
    const stoppedLater = () => routed || !(routed = true);
    const { done, steps, ends, last } = await run({ guard: {}, stoppedLater });
    expect(done).toMatchObject({ width: 20 });
    expect(steps).toEqual([IN_NO_ARM]);
    expect(ends).toEqual([]);
    expect(last?.version).toBe('1');
  });

  it("ends with its job, which is not the arm's failure", async () => {
    const expired = new JobError('DEADLINE_EXCEEDED', 'too late');
    const { done, ends } = await run({
      versions: { 1: gives, 2: hangs },
      guard: { maxSeconds: 60 },
      abortWith: expired,
    });
    expect(done).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(ends).toEqual([]);
  });
});
