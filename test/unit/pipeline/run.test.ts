import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { NO_CAPACITY } from '../../../src/domain/capacity.js';
import type { ModelContract } from '../../../src/domain/contract.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { JobContext } from '../../../src/pipeline/job-context.js';
import type { Reserve } from '../../../src/pipeline/memory.js';
import type { Routed } from '../../../src/pipeline/routed.js';
import { JobState } from '../../../src/pipeline/job-state.js';
import { jobSteps, renderSteps, runSteps } from '../../../src/pipeline/run.js';
import type { RequestScheduler } from '../../../src/pipeline/transform.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { memoryModels } from '../../support/memory-models.js';
import { png } from '../../support/pictures.js';

/** Models that repeat each pixel `scale` times a side, and count what they are asked. */
function doubles() {
  const seen = { requests: 0, atOnce: 0, most: 0 };
  const scaleOf = (model: string) => Number(/\d+$/.exec(model)?.[0] ?? 1);
  const contracts = new Map<string, ModelContract>();
  const models = memoryModels(contracts, async ({ model, inputs: [image = expect.fail()] }) => {
    seen.requests++;
    seen.most = Math.max(seen.most, ++seen.atOnce);
    await new Promise((resolve) => setImmediate(resolve));
    seen.atOnce--;
    const [height = 0, width = 0] = image.shape;
    const scale = scaleOf(model);
    const data = await sharp(image.data, { raw: { width, height, channels: 3 } })
      .resize(width * scale, height * scale, { kernel: 'nearest' })
      .raw()
      .toBuffer();
    return createTensor('image', 'UINT8', [height * scale, width * scale, 3], data);
  });
  const routed = (model: string): Routed => {
    const tensor = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
    const contract = readContract({
      ...{
        model,
        maxBatchSize: 8,
        instances: 1,
        batcher: { delayMs: 0, prefetches: true },
        inputs: [tensor],
        outputs: [tensor],
        readyVersions: ['1'],
      },
      parameters: {
        'imagen.plans': '["tile"]',
        'imagen.tile_sizes': '[16]',
        'imagen.margin': '2',
        'imagen.scale': String(scaleOf(model)),
      },
    });
    contracts.set(model, contract);
    const version = contract.versions.get('1') ?? expect.fail();
    return { operation: { model }, model: contract, version: '1', contract: version, parameters: {} };
  };
  return { seen, models, routed };
}

const AT_ONCE: RequestScheduler = ({ shape }, task) => task(shape, { apart: false, copies: 1 });

const FREELY: Reserve = () => Promise.resolve(() => undefined);

async function run(
  operations: readonly string[],
  bytes: Buffer,
  output: object = {},
  schedule = AT_ONCE,
  reserve = FREELY,
  now?: () => number,
) {
  const { seen, models, routed } = doubles();
  const message = { jobId: 'a', operations, input: { uri: 'gs://in/a' }, output };
  const job = parseJob(Buffer.from(JSON.stringify(message)));
  const context = new JobContext(new AbortController().signal, 0, undefined, now);
  const told: object[] = [];
  const state = new JobState(
    job,
    context,
    { models, schedule },
    {
      ...{ maxInputPixels: 1e6, maxOutputPixels: 40_000 },
      route: () => expect.fail(),
      predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
      reserve,
      codecs: () => atOnce,
      onOperation: ({ model, requests }, pixels) => told.push({ model, requests, ...pixels }),
    },
  );
  state.routed = operations.map(routed);
  state.bytes = bytes;
  const done = await runSteps(renderSteps(job), state).then(
    () => state.encoded,
    (error: unknown) => error,
  );
  return { seen, done, context, told };
}

const square = (side: number) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#345' } })
    .png()
    .toBuffer();

it('tells of every operation what was sent, how much of it was the picture, and how long it took', async () => {
  // Tiles of 16 with a margin of 2: two a side for 20 pixels and the border beyond them, and four for 40.
  const { told } = await run(['times2', 'times1'], await square(20));
  const seconds = expect.any(Number) as number;
  expect(told).toEqual([
    { model: 'times2', requests: 4, computed: 4 * 16 ** 2, useful: 20 ** 2, seconds },
    { model: 'times1', requests: 16, computed: 16 * 16 ** 2, useful: 40 ** 2, seconds },
  ]);
});

describe('a result that would be too large', () => {
  it.each<[string, readonly string[], number, object]>([
    ['of the first operation', ['times4'], 51, {}],
    ['of a later operation', ['times1', 'times2', 'times2'], 51, {}],
    ['although it would be shrunk afterwards', ['times4'], 51, { maxWidth: 10 }],
    ['before a smaller one could come of it', ['times4', 'times1'], 51, {}],
  ])('ends before any inference: %s', async (_name, operations, side, output) => {
    const { seen, done, context } = await run(operations, await square(side), output);
    expect(done).toMatchObject({ code: 'OUTPUT_TOO_LARGE', stage: 'plan' });
    expect(seen.requests).toBe(0);
    expect(context.steps).toEqual([]);
  });

  it('is computed when it just fits', async () => {
    const { seen, done } = await run(['times1', 'times2', 'times2'], await square(50));
    expect(done).toMatchObject({ width: 200, height: 200 });
    expect(seen.requests).toBeGreaterThan(3);
  });

  it('ends before any inference also where only the format is too small', async () => {
    const wide = await sharp({ create: { width: 9000, height: 1, channels: 3, background: '#345' } })
      .png()
      .toBuffer();
    const { seen, done } = await run(['times2'], wide, { format: 'webp' });
    expect(done).toMatchObject({ code: 'OUTPUT_TOO_LARGE' });
    expect(seen.requests).toBe(0);
  });
});

describe('memory', () => {
  /** Writes down what is reserved and given back. */
  function ledger() {
    const log: string[] = [];
    const reserve: Reserve = (bytes) => {
      log.push(`+${bytes}`);
      return Promise.resolve(() => void log.push(`-${bytes}`));
    };
    return { log, reserve };
  }

  it('is reserved before the picture is decoded, and given back when the result is written', async () => {
    const { log, reserve } = ledger();
    const { done } = await run(['times2'], await square(50), {}, AT_ONCE, reserve);
    expect(done).toMatchObject({ width: 100 });
    const bytes = 50 * 50 * (3 + 4 * 3 + 4 * 0.5);
    expect(log).toEqual([`+${bytes}`, `-${bytes}`]);
  });

  it('is given back also when the job fails', async () => {
    const { log, reserve } = ledger();
    const fails: RequestScheduler = () => Promise.reject(new Error('broken'));
    await run(['times1'], await square(50), {}, fails, reserve);
    expect(log.map((entry) => entry[0])).toEqual(['+', '-']);
  });

  it('is not asked for by a job that will fail anyway', async () => {
    const { log, reserve } = ledger();
    await run(['times4'], await square(51), {}, AT_ONCE, reserve);
    await run(['times1'], Buffer.from('no picture'), {}, AT_ONCE, reserve);
    expect(log).toEqual([]);
  });
});

it('runs its steps in this order', () => {
  const message = { jobId: 'a', operations: ['times1', 'times2'], input: { uri: 'gs://in/a' } };
  const steps = jobSteps(parseJob(Buffer.from(JSON.stringify(message))));
  expect(steps.map(({ name, model }) => (model === undefined ? name : `${name} ${model}`))).toEqual([
    ...['route', 'target', 'fetch', 'header', 'plan', 'memory', 'decode', 'format', 'infer times1', 'infer times2'],
    ...['encode', 'store'],
  ]);
});

it('tells the wait for memory apart from decoding', async () => {
  let now = 0;
  const reserve: Reserve = () => {
    now += 700;
    return Promise.resolve(() => undefined);
  };
  const { context } = await run(['times1'], await square(20), {}, AT_ONCE, reserve, () => now);
  expect(context.timings()).toMatchObject({ memory: 700, decode: 0, total: 700 });
});

it('starts no step after its signal has fired, and releases its memory', async () => {
  const stop = new AbortController();
  const done: string[] = [];
  const released: string[] = [];
  const context = new JobContext(stop.signal, 0, (step) => done.push(step));
  const steps = ['first', 'second', 'third'].map((name) => ({
    ...{ name, stage: 'infer' as const },
    run: () => {
      if (name === 'second') stop.abort(new JobError('DEADLINE_EXCEEDED', 'too late'));
    },
  }));
  const state = { context, release: () => released.push('memory') } as unknown as JobState;
  await expect(runSteps(steps, state)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', stage: 'infer' });
  expect(done).toEqual(['first', 'second']);
  expect(released).toEqual(['memory']);
});

it('has tensors only for the requests in flight', async () => {
  const share = createFairShare({
    capacityOf: () => ({ ...NO_CAPACITY, inFlight: 3, runs: 3, instances: 3 }),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: 0, failedAttempts: 1 },
  });
  const { seen } = await run(['times1'], await square(150), {}, share.scheduler({}));
  expect(seen.requests).toBe(169);
  expect(seen.most).toBe(3);
});

it('carries alpha past a model that scales', async () => {
  // Opaque on the left, a quarter on the right.
  const pixel = (x: number) => (x < 16 ? [200, 40, 30, 255] : [30, 40, 200, 64]);
  const picture = png({ width: 32, height: 20, colour: 'rgba', depth: 8, pixel });
  const { done } = await run(['times4'], picture);
  const { data, info } = await sharp((done as { bytes: Buffer }).bytes)
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: 128, height: 80, channels: 4 });
  for (let y = 0; y < 80; y++) {
    for (const x of [0, 20, 50, 80, 100, 127]) {
      const given = [...data.subarray((y * 128 + x) * 4, (y * 128 + x) * 4 + 4)];
      expect(given).toEqual(pixel(x / 4));
    }
    // Between the two it falls over a pixel of the original.
    const alphaAt = (x: number) => data[(y * 128 + x) * 4 + 3] ?? 0;
    expect(alphaAt(62)).toBeGreaterThan(alphaAt(65));
  }
});
