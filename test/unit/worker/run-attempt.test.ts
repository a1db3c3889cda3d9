import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError, type Need } from '../../../src/domain/errors.js';
import type { Delivery, ObjectStore } from '../../../src/domain/ports.js';
import { NO_ROUTES } from '../../../src/domain/routes.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { retryingStore } from '../../../src/pipeline/retry.js';
import { NO_CAPACITY } from '../../../src/domain/capacity.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import type { Worker } from '../../../src/worker/context.js';
import { type Message, parse, receive } from '../../../src/worker/message.js';
import { runAttempt } from '../../../src/worker/run-attempt.js';
import { createSightings } from '../../../src/worker/sightings.js';
import { withoutWaiting } from '../../../src/worker/without-waiting.js';
import { memoryModels } from '../../support/memory-models.js';
import { memoryStore } from '../../support/memory-store.js';

/*
 * One attempt at a job of a model that repeats its input, with storage that fails for exactly one call, and a server that
 * stops to answer at will.
 */

const never = new AbortController().signal;
const places = {
  statePrefix: 'gs://state',
  outputPrefix: 'gs://out',
  allowedInputs: ['gs://in'],
  allowedOutputs: ['gs://out'],
};
const tensor = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
const contractOf = (model: string, scale: number) =>
  readContract({
    ...{ model, maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
    ...{ inputs: [tensor], outputs: [tensor], readyVersions: ['1'] },
    parameters: { 'imagen.plans': '["whole"]', 'imagen.scale': String(scale) },
  });
const contracts = new Map([1, 4].map((scale) => [`times${scale}`, contractOf(`times${scale}`, scale)]));

function setUp() {
  const { store, objects, fail } = memoryStore();
  let inferences = 0;
  const models = memoryModels(contracts, ({ inputs: [image = expect.fail()] }) => {
    inferences++;
    return image;
  });
  let broken: Need | undefined;
  const limits = { unavailableMs: 60_000, failedAttempts: 1 };
  const patient: ObjectStore = retryingStore(store, limits);
  const worker = {
    outcomeStore: patient,
    sightings: createSightings(),
    parts: {
      ...{ store: patient, singleTryStore: store, models, waitingRoom: { passed: () => undefined } },
      availability: { broken: () => broken && { need: broken, reason: 'away' }, usedAt: () => undefined },
      share: createFairShare({ capacityOf: () => NO_CAPACITY, costOf: () => DEFAULT_COST, retry: limits }),
    },
    options: {
      ...{ statePrefix: places.statePrefix, maxAttempts: 5, maxDeferredMs: 60_000, watchMs: 60_000, worker: 'w' },
      pipeline: {
        ...{ maxInputPixels: 1e6, maxOutputPixels: 1e6, codecs: () => atOnce },
        ...{ predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), reserve: () => Promise.resolve(() => undefined) },
        ...{ fetch: { allowedInputs: ['gs://in'], maxBytes: 1e6 }, target: places },
        ...{ route: () => ({ routes: NO_ROUTES, waitMs: 0 }), endOf: () => Promise.resolve(undefined) },
      },
    },
  } as unknown as Worker;
  const attempt = async (how: Worker, more: object = {}, attempts = 1) => {
    const input = { uri: 'gs://in/a.png' };
    const picture = sharp({ create: { width: 8, height: 8, channels: 3, background: '#456' } });
    const bytes = await picture.png().toBuffer();
    await store.create({ bucket: 'in', name: 'a.png' }, bytes, { contentType: 'image/png', signal: never });
    const data = Buffer.from(JSON.stringify({ jobId: 'a', operations: ['times1'], input, ...more }));
    const given: Delivery = { messageId: 'm', data, attributes: {}, attempt: attempts, publishedAt: new Date() };
    const message = parse(receive(given), places) as Message;
    const done = await runAttempt(how, message, undefined, never);
    return done.kind === 'decided' ? done.decision.completion : done;
  };
  return {
    ...{ worker, models, objects, fail, attempt },
    inferences: () => inferences,
    breakNeed: (need?: Need) => (broken = need),
  };
}

describe('a job that waits in place for nothing', () => {
  it.each([
    ['result', 'gs://out/a/result.png'],
    ['record', 'gs://state/a.json'],
  ])('is not computed again because storage fails once when its %s is stored', async (_, failing) => {
    const { worker, attempt, fail, objects, inferences } = setUp();
    let failures = 0;
    fail((operation, uri) => {
      if (operation === 'create' && uri === failing && failures++ < 1)
        throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    expect(await attempt(withoutWaiting(worker), {}, 3)).toMatchObject({ status: 'succeeded' });
    expect([failures, inferences(), objects.has(failing)]).toEqual([2, 1, true]);
  });

  it('is put off at once when storage fails before it has computed anything', async () => {
    const { worker, attempt, fail, inferences } = setUp();
    fail((operation, uri) => {
      if (operation === 'read' && uri.startsWith('gs://in')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    expect(await attempt(withoutWaiting(worker), {}, 3)).toMatchObject({
      ...{ kind: 'put off', error: { code: 'STORAGE_UNAVAILABLE' } },
    });
    expect(inferences()).toBe(0);
  });
});

describe('a job whose own time limit passes at an inference', () => {
  const run = async (change: (scene: ReturnType<typeof setUp>) => void) => {
    const scene = setUp();
    scene.models.infer = (_, signal) => {
      change(scene);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    };
    return scene.attempt(scene.worker, { timeoutSeconds: 0.2 });
  };

  it('ends if all that it needs answers', async () =>
    expect(await run(() => undefined)).toMatchObject({ status: 'failed', error: { code: 'EXECUTION_TIMEOUT' } }));

  it('is put off if something that it needs is known to be away', async () => {
    const need: Need = { kind: 'model', name: 'times1' };
    const outcome = await run(({ breakNeed }) => breakNeed(need));
    expect(outcome).toMatchObject({ kind: 'put off', error: { code: 'MODEL_UNAVAILABLE', needs: need } });
  });

  it.each([
    ['refuses to', () => Promise.reject(new JobError('MODEL_UNAVAILABLE', 'not reached'))],
    [
      'does not',
      (signal: AbortSignal) =>
        new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    ],
  ])('is put off if the server %s say what it serves', async (_, refresh) => {
    const outcome = await run(({ models }) => (models.refresh = refresh));
    expect(outcome).toMatchObject({ kind: 'put off', error: { code: 'MODEL_UNAVAILABLE', stage: 'infer' } });
  });
});

describe('a job whose own time limit passes at a model that has lately not answered', () => {
  it('is put off for what the model server says of the model', async () => {
    const scene = setUp();
    scene.models.infer = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    scene.models.faultOf = ({ model }, since) =>
      Promise.resolve(
        new JobError('MODEL_UNAVAILABLE', `${model} ${performance.now() - since > 150}`, { costsAttempt: true }),
      );
    expect(await scene.attempt(scene.worker, { timeoutSeconds: 0.2 })).toMatchObject({
      ...{ kind: 'put off', error: { code: 'MODEL_UNAVAILABLE', message: 'times1 true', costsAttempt: true } },
    });
  });
});

describe('a job whose own time limit passes elsewhere', () => {
  const hang = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  const slowly = async (operation: 'read' | 'create', change: (scene: ReturnType<typeof setUp>) => void) => {
    const scene = setUp();
    const { store } = scene.worker.parts;
    if (operation === 'read') store.read = (_, { signal }) => hang(signal);
    else {
      const sound = { ...scene.worker.outcomeStore };
      scene.worker.outcomeStore.create = (ref, bytes, more) =>
        ref.bucket === 'out' ? hang(more.signal) : sound.create(ref, bytes, more);
    }
    change(scene);
    return scene.attempt(scene.worker, { timeoutSeconds: 0.2 });
  };

  it.each(['read', 'create'] as const)('ends at a slow %s if all that it needs answers', async (operation) =>
    expect(await slowly(operation, () => undefined)).toMatchObject({
      ...{ status: 'failed', error: { code: 'EXECUTION_TIMEOUT', stage: operation === 'read' ? 'fetch' : 'store' } },
    }),
  );

  it('is put off if Triton does not say what it serves, wherever the job is', async () =>
    expect(await slowly('read', ({ models }) => (models.refresh = hang))).toMatchObject({
      ...{ kind: 'put off', error: { code: 'MODEL_UNAVAILABLE', stage: 'fetch' } },
    }));

  it.each(['read', 'create'] as const)('is put off at a slow %s if storage does not answer', async (operation) => {
    const outcome = await slowly(operation, ({ worker }) => {
      worker.parts.singleTryStore.checkAccess = (_, access, signal) =>
        access === operation ? hang(signal) : Promise.resolve();
    });
    expect(outcome).toMatchObject({ kind: 'put off', error: { code: 'STORAGE_UNAVAILABLE' } });
  });
});

describe('a job that cannot be planned by the contracts of its models', () => {
  it.each([
    ['OUTPUT_TOO_LARGE', { operations: ['times1', 'times4', 'times4', 'times4', 'times4'] }],
    ['INVALID_PARAMETERS', { operations: ['times4'], output: { maskOnly: true } }],
  ])('ends with %s only if no replica has another contract now', async (code, more) => {
    const { worker, models, attempt } = setUp();
    expect(await attempt(worker, more)).toMatchObject({ status: 'failed', error: { code, stage: 'plan' } });
    models.contractsNow = ({ model }) => Promise.resolve([contracts.get(model), contractOf(model, 1)]);
    const outcome = await attempt(worker, { ...more, jobId: 'b' });
    expect(outcome).toMatchObject({ kind: 'put off', error: { needs: { kind: 'model', name: 'times4' } } });
  });
});
