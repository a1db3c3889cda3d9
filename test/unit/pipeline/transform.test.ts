import { describe, expect, it } from 'vitest';
import type { ModelContract, VersionContract } from '../../../src/domain/contract.js';
import { JobError } from '../../../src/domain/errors.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import type { Shape } from '../../../src/pipeline/plans/plan.js';
import { transform } from '../../../src/pipeline/transform.js';
import { NO_CAPACITY } from '../../../src/domain/capacity.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { memoryModels, modelOf } from '../../support/memory-models.js';

const contract = { plans: ['whole', 'tile'], scale: 1, margin: 0, tileSizes: [16] } as unknown as VersionContract;
const versions = new Map([['1', contract]]);
const model = modelOf(versions);
const routed = { operation: { model: 'm' }, model, version: '1', contract, parameters: {} };
const whole: Shape = { plan: 'whole', width: 32, height: 32, requests: 1 };
const tile: Shape = { plan: 'tile', width: 16, height: 16, requests: 4 };
const raster = { width: 32, height: 32, rgb: Buffer.alloc(32 * 32 * 3, 7) };

/** A model that has memory for so many pixels at once. */
function modelFor(pixels: number) {
  const asked: string[] = [];
  const models = memoryModels([model], ({ inputs: [image = expect.fail()] }) => {
    const [height = 0, width = 0] = image.shape;
    asked.push(`${width}x${height}`);
    if (height * width > pixels) throw new JobError('MODEL_UNAVAILABLE', 'out of memory', { outOfMemory: true });
    return image;
  });
  const run = (shapes: readonly Shape[]) =>
    transform(
      raster,
      { routed, shapes },
      {
        ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), priority: 'batch', codec: atOnce },
        schedule: ({ shape }, task) => task(shape, { apart: false, copies: 1 }),
        signal: new AbortController().signal,
      },
    );
  return { asked, run };
}

describe('a model that has not enough memory for a picture', () => {
  it('gets it in smaller pieces, where its contract permits that', async () => {
    const { asked, run } = modelFor(16 * 16);
    const { raster: done, step } = await run([whole, tile]);
    expect(asked).toEqual(['32x32', '16x16', '16x16', '16x16', '16x16']);
    expect(step).toMatchObject({ plan: 'tile', requests: 4 });
    expect(done.rgb).toEqual(raster.rgb);
  });

  it('puts the job off where nothing smaller is permitted', async () => {
    const { asked, run } = modelFor(1);
    await expect(run([whole, tile])).rejects.toMatchObject({
      ...{ code: 'MODEL_UNAVAILABLE', outOfMemory: true, costsAttempt: false },
    });
    expect(asked[0]).toBe('32x32');
    expect(asked.slice(1)).toContain('16x16');
  });
});

it('asks with a black picture and without parameters whether a version answers, and then with the picture', async () => {
  const asked: object[] = [];
  const models = memoryModels([model], ({ inputs: [image], parameters, copies }) => {
    asked.push({ shape: image?.shape, colours: [...new Set(image?.data)], parameters, copies });
    return createTensor('image', 'UINT8', [32, 32, 3], raster.rgb);
  });
  const { raster: done } = await transform(
    raster,
    { routed: { ...routed, parameters: { how: 'hang' } }, shapes: [whole] },
    {
      ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), priority: 'batch', codec: atOnce },
      async schedule({ shape }, task) {
        await task(shape, { apart: true, copies: 8, probe: true });
        return task(shape, { apart: true, copies: 8 });
      },
      signal: new AbortController().signal,
    },
  );
  expect(asked).toEqual([
    { shape: [32, 32, 3], colours: [0], parameters: {}, copies: 1 },
    { shape: [32, 32, 3], colours: [7], parameters: { how: 'hang' }, copies: 8 },
  ]);
  expect(done.rgb).toEqual(raster.rgb);
});

describe('a model that does not keep to its contract', () => {
  /** The server reads at each replica what the model promises now. */
  const run = (
    replicas: readonly (ModelContract | undefined)[] | JobError,
    error = new JobError('MODEL_OUTPUT_INVALID', 'too small'),
  ) => {
    const models = memoryModels([model], () => Promise.reject(error), {
      contractsNow: () => (replicas instanceof JobError ? Promise.reject(replicas) : Promise.resolve(replicas)),
    });
    return transform(
      raster,
      { routed, shapes: [whole] },
      {
        ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), priority: 'batch', codec: atOnce },
        schedule: ({ shape }, task) => task(shape, { apart: false, copies: 1 }),
        signal: new AbortController().signal,
      },
    );
  };
  const versions = (one: Partial<VersionContract>) => new Map([['1', { ...contract, ...one }]]);
  const same = { ...model, versions: versions({}) };
  const changed = { ...model, versions: versions({ scale: 2 }) };
  const codes = ['MODEL_REJECTED_INPUT', 'MODEL_OUTPUT_INVALID', 'INFERENCE_FAILED'] as const;

  it.each(codes)('fails the job with %s', (code) =>
    expect(run([same, { ...same, instances: 7 }], new JobError(code, 'wrong'))).rejects.toMatchObject({ code }),
  );

  it.each(codes)('does not fail the job with %s, if one replica has another contract', (code) =>
    expect(run([same, changed], new JobError(code, 'wrong'))).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' }),
  );

  it.each([
    ['the version has another', changed],
    ['the model has another', { ...same, maxBatchSize: 4 }],
    ['there is no such version any more', undefined],
  ])('puts the job off where it was planned by a former contract: %s', (_what, now) =>
    expect(run([now])).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'm' } }),
  );

  it('puts the job off where nobody knows', () =>
    expect(run(new JobError('MODEL_UNAVAILABLE', 'not reached'))).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' }));
});

describe('a time limit that passes', () => {
  /** @param answers what the model does with each request, in order; it leaves the others without an answer */
  const run = (...answers: (JobError | 'answered')[]) => {
    const over = new AbortController();
    const models = memoryModels([model], ({ inputs: [image = expect.fail()] }) => {
      const answer = answers.shift();
      if (answers.length === 0) setTimeout(() => over.abort(new JobError('EXECUTION_TIMEOUT', 'too late')));
      if (answer instanceof JobError) throw answer;
      return answer ? image : new Promise<never>(() => undefined);
    });
    const share = createFairShare({
      capacityOf: () => NO_CAPACITY,
      costOf: () => DEFAULT_COST,
      retry: { unavailableMs: 60_000, failedAttempts: 1, maxDelayMs: 1_000 },
    });
    return transform(
      raster,
      { routed, shapes: [tile] },
      {
        ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }) },
        ...{ schedule: share.scheduler({}), priority: 'batch', codec: atOnce, signal: over.signal },
      },
    );
  };
  const unavailable = new JobError('MODEL_UNAVAILABLE', 'away');
  const overloaded = new JobError('MODEL_OVERLOADED', 'full');

  it.each([
    ['the model is away', unavailable],
    ['the queue of the model is full', overloaded],
  ])('does not end the job while %s', (_, error) => expect(run('answered', error)).rejects.toBe(error));

  it('ends the job while the model only computes', () =>
    expect(run(overloaded, 'answered')).rejects.toMatchObject({ code: 'EXECUTION_TIMEOUT' }));
});
