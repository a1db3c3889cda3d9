import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { fitCost } from '../../../src/cli/capacity/costs.js';
import { measureExecutions } from '../../../src/cli/capacity/executions.js';
import { VersionMeter } from '../../../src/cli/capacity/measure.js';
import { capacityOf } from '../../../src/domain/capacity.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError } from '../../../src/domain/errors.js';
import type { InferenceRequest } from '../../../src/domain/ports.js';
import type { Tensor } from '../../../src/domain/tensor.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { type Answer, memoryModels } from '../../support/memory-models.js';

const BATCH = 8;
const FIXED_MS = 4;
const MS_PER_MEGAPIXEL = 50;
const never = new AbortController().signal;
const image = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };

interface Waiting {
  readonly request: InferenceRequest;
  readonly resolve: (output: Tensor) => void;
}

/** A server with one instance and a batcher like Triton's. It sleeps for what an execution costs, and gives the images back. */
function simulate({
  fails,
  foreign = 0,
  msPerMegapixel = MS_PER_MEGAPIXEL,
  parameters = {},
}: { fails?: JobError; foreign?: number; msPerMegapixel?: number; parameters?: object } = {}) {
  const contract = readContract({
    ...{ model: 'm', maxBatchSize: BATCH, instances: 1, batcher: { delayMs: 0, prefetches: true } },
    ...{ inputs: [image], outputs: [image], readyVersions: ['1'] },
    parameters: { 'imagen.plans': '["whole"]', 'imagen.max_whole_pixels': '1000000', ...parameters },
  });
  const queue: Waiting[] = [];
  const counts = new Map<number, { executions: number; ms: number }>();
  const windows = new Set<string>();
  let requests = 0;
  let computing = false;
  const compute = async () => {
    computing = true;
    for (let batch = queue.splice(0, BATCH); batch.length > 0; batch = queue.splice(0, BATCH)) {
      const pixels = batch.reduce((sum, { request }) => sum + pixelsOf(request), 0);
      const ms = FIXED_MS + (pixels * msPerMegapixel) / 1e6;
      await sleep(ms);
      const count = counts.get(batch.length) ?? { executions: 0, ms: 0 };
      counts.set(batch.length, { executions: count.executions + 1, ms: count.ms + ms });
      requests += batch.length + foreign;
      for (const { request, resolve } of batch) resolve(request.inputs[0] ?? expect.fail());
    }
    computing = false;
  };
  const pixelsOf = ({ inputs }: InferenceRequest) => (inputs[0]?.shape[0] ?? 0) * (inputs[0]?.shape[1] ?? 0);
  const answer: Answer = (request) => {
    if (fails) return Promise.reject(fails);
    windows.add(request.inputs[0]?.shape.join('x') ?? '');
    return new Promise((resolve) => {
      queue.push({ request, resolve });
      if (!computing) void compute();
    });
  };
  const models = memoryModels([contract], answer, {
    statistics: () => {
      const batches = [...counts].map(([batchSize, { executions, ms }]) => ({
        ...{ batchSize, executions, meanMs: ms / executions },
      }));
      return Promise.resolve([{ version: '1', requests, batches }]);
    },
  });
  const share = createFairShare({
    capacityOf: () => capacityOf(contract),
    costOf: () => ({ fixed: 1, perPixel: 1 }),
    retry: { unavailableMs: 0, failedAttempts: 1 },
  });
  const version = contract.versions.get('1') ?? expect.fail();
  const routed = { operation: { model: 'm' }, model: contract, version: '1', contract: version, parameters: {} };
  return { parts: { models, share }, routed, windows };
}

describe('measuring executions', () => {
  const shape = (width: number, height: number, runPixels?: number) => ({
    ...{ plan: 'whole' as const, width, height, requests: 1, ...(runPixels === undefined ? {} : { runPixels }) },
  });

  it('finds the cost of a launch and of a megapixel', async () => {
    const { parts, routed } = simulate();
    const measured = await measureExecutions(parts, routed, shape(300, 200), performance.now() + 500, never);
    const cost = fitCost(measured.batches.map((batch) => ({ ...batch, pixels: 60_000 })));
    expect(cost?.fixed).toBeCloseTo(FIXED_MS);
    expect((cost?.perPixel ?? 0) * 1e6).toBeCloseTo(MS_PER_MEGAPIXEL);
    expect(measured.batches.at(-1)?.batchSize).toBe(BATCH);
    expect(measured.groups.map(({ requests }) => requests)).toEqual([1, 2, 4, 8, 16]);
    expect(measured.counted).toBe(measured.answered);
  });

  it('measures one request, however little time there is', async () => {
    const { parts, routed } = simulate();
    const measured = await measureExecutions(parts, routed, shape(300, 200), performance.now() - 1, never);
    expect(measured).toMatchObject({ answered: 1, batches: [{ batchSize: 1, executions: 1 }] });
  });

  it('sends no more pixels together than a run may have', async () => {
    const { parts, routed } = simulate();
    const measured = await measureExecutions(parts, routed, shape(100, 100, 20_000), performance.now() + 300, never);
    expect(measured.groups.map(({ requests }) => requests)).toEqual([1, 2, 4]);
  });

  it('counts what others have sent', async () => {
    const { parts, routed } = simulate({ foreign: 1 });
    const measured = await measureExecutions(parts, routed, shape(100, 100), performance.now() + 100, never);
    expect(measured.counted).toBeGreaterThan(measured.answered);
  });
});

describe('measuring a version', () => {
  const options = {
    forMs: 900,
    maxJobs: 8,
    maxInputPixels: 1e8,
    maxOutputPixels: 1e8,
    maxDecodedBytes: 1e9,
    poolThreads: 8,
  };
  const onCpu = { device: 'cpu', gpus: 0 } as const;

  it('runs the pipeline beside what its executions cost', async () => {
    const { parts, routed, windows } = simulate();
    const meter = new VersionMeter(parts, routed, onCpu, { ...options, forMs: 3_000, price: 1 });
    const size = await meter.measure({ width: 320, height: 200 }, never);
    expect(size).toMatchObject({ width: 320, height: 200, plan: 'whole', requests: 1 });
    if (!size || 'error' in size) expect.fail();
    expect(size.worker?.jobs).toBeGreaterThan(0);
    expect(size.worker?.cpuMsPerJob).toBeGreaterThan(0);
    expect(size.worker?.busy).toBeGreaterThan(0);
    expect(size.worker?.busy).toBeLessThanOrEqual(1);
    const fullMs = FIXED_MS + 8 * 0.064 * MS_PER_MEGAPIXEL;
    expect(size.sizing?.jobsPerSecondPerGpu).toBeCloseTo(8000 / fullMs);
    expect([...windows]).toEqual(['200x320x3']);
  });

  it('measures another shape if the cost makes that one better', async () => {
    // Before anything is known, a launch counts as 32,768 pixels, and four small tiles are best. Here it costs 800,000.
    const tiles = { 'imagen.plans': '["tile"]', 'imagen.tile_sizes': '[64, 512]' };
    const { parts, routed, windows } = simulate({ parameters: tiles, msPerMegapixel: 5 });
    const meter = new VersionMeter(parts, routed, onCpu, options);
    const size = await meter.measure({ width: 65, height: 65 }, never);
    expect(size).toMatchObject({ plan: 'tile', requests: 1, window: { width: 512, height: 512 } });
    expect([...windows]).toEqual(['64x64x3', '512x512x3']);
  });

  it('reports a size that the model does not take', async () => {
    const { parts, routed, windows } = simulate();
    const size = await new VersionMeter(parts, routed, onCpu, options).measure({ width: 2000, height: 1000 }, never);
    const message = 'model m, version 1 takes at most 1000000 pixels, given 2000x1000';
    expect(size).toEqual({ width: 2000, height: 1000, error: { code: 'OUTPUT_TOO_LARGE', message } });
    expect(windows.size).toBe(0);
  });

  it('reports an error of the model', async () => {
    const { parts, routed } = simulate({ fails: new JobError('INFERENCE_FAILED', 'it broke') });
    const size = await new VersionMeter(parts, routed, onCpu, options).measure({ width: 20, height: 10 }, never);
    expect(size).toMatchObject({ error: { code: 'INFERENCE_FAILED', message: 'it broke' } });
  });

  it('runs no job of which none would end in time', async () => {
    const { parts, routed } = simulate({ msPerMegapixel: 400 });
    const meter = new VersionMeter(parts, routed, onCpu, { ...options, forMs: 100 });
    const size = await meter.measure({ width: 900, height: 600 }, never);
    if (!size || 'error' in size) expect.fail();
    expect(size.worker).toBeUndefined();
    expect(size.sizing?.jobsPerSecondPerGpu).toBeGreaterThan(0);
    expect(size.executions.answered).toBe(1);
  });

  it('reports nothing of a size during which it was stopped', async () => {
    const { parts, routed } = simulate();
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('stopped')), 50);
    const meter = new VersionMeter(parts, routed, onCpu, { ...options, forMs: 60_000 });
    expect(await meter.measure({ width: 320, height: 200 }, stop.signal)).toBeUndefined();
  });
});
