import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import type { VersionStatistics } from '../../../src/domain/ports.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { DEFAULT_COST, predictedTime } from '../../../src/pipeline/cost.js';
import { createCostModel } from '../../../src/scheduling/cost-model.js';
import { memoryModels } from '../../support/memory-models.js';

const image = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
const contract = readContract({
  ...{
    model: 'm',
    maxBatchSize: 8,
    instances: 1,
    batcher: { delayMs: 0, prefetches: true },
    inputs: [image],
    outputs: [image],
    readyVersions: ['1'],
  },
  parameters: { 'imagen.plans': '["whole"]' },
});
const signal = new AbortController().signal;

/** A server of which the true cost is known; batches are as large as the test says. */
function simulate(fixed: number, perPixel: number) {
  let requests = 0;
  const batches = new Map<number, { executions: number; totalMs: number }>();
  const server = memoryModels([contract], undefined, {
    statistics: () =>
      Promise.resolve<VersionStatistics[]>([
        {
          version: '1',
          requests,
          batches: [...batches].map(([batchSize, { executions, totalMs }]) => ({
            batchSize,
            executions,
            meanMs: totalMs / executions,
          })),
        },
      ]),
  });
  const model = createCostModel();
  const watched = model.watch(server);
  async function run(side: number, batchSize: number, others?: 'by another worker') {
    const image = createTensor('image', 'UINT8', [side, side, 3], Buffer.alloc(side * side * 3));
    for (let i = 0; i < (others ? 0 : batchSize); i++) {
      await watched.infer(
        { model: 'm', version: '1', inputs: [image], output: 'image', priority: 'batch', parameters: {} },
        signal,
      );
    }
    const before = batches.get(batchSize) ?? { executions: 0, totalMs: 0 };
    const ms = fixed + perPixel * batchSize * side * side;
    batches.set(batchSize, { executions: before.executions + 1, totalMs: before.totalMs + ms });
    requests += batchSize;
  }
  return { model, server, run };
}

describe('createCostModel', () => {
  it('shares out what Triton has measured', async () => {
    const { model, server, run } = simulate(45, 5 / 65_536);
    expect(model.shareOf('m', '1', { requests: 1, pixels: 100 })).toBeUndefined();
    await model.poll(server, signal);
    const work: { requests: number; pixels: number }[] = [];
    for (let i = 0; i < 40; i++) {
      const [side, batchSize] = [128 + 64 * (i % 5), 1 + ((i * 3) % 8)];
      await run(side, batchSize);
      await model.poll(server, signal);
      work.push({ requests: batchSize, pixels: batchSize * side * side });
    }
    const shared = work.reduce((sum, one) => sum + (model.shareOf('m', '1', one) ?? expect.fail()), 0);
    const [{ batches } = expect.fail()] = await server.statistics('m', signal);
    const measured = batches.reduce((sum, { executions, meanMs }) => sum + executions * meanMs, 0);
    expect(shared / measured).toBeGreaterThan(0.9);
    expect(shared / measured).toBeLessThan(1.1);
  });

  it('states its default before it has seen anything', () => {
    expect(createCostModel().costOf('m', '1')).toEqual(DEFAULT_COST);
  });

  it.each([
    [45, 5],
    [5, 5],
    [1.25, 5],
  ])('learns a launch of %d ms and %d ms per 256 x 256', async (fixed, each) => {
    const { model, server, run } = simulate(fixed, each / 65_536);
    await model.poll(server, signal);
    let state = 5;
    const oneOf = <T>(choices: readonly T[]) =>
      choices[(state = (state * 48_271) % 2_147_483_647) % choices.length] ?? expect.fail();
    for (let i = 0; i < 400; i++) {
      await run(oneOf([64, 100, 128, 256, 400, 512]), oneOf([1, 2, 4, 8]));
      await model.poll(server, signal);
    }
    const cost = model.costOf('m', '1');
    // The planner weighs one against the other, so their ratio is what matters.
    const ratio = cost.fixed / cost.perPixel / (fixed / (each / 65_536));
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(1.6);
    const typical = 2 * 256 * 256;
    expect((cost.fixed + cost.perPixel * typical) / (fixed + (each / 65_536) * typical)).toBeCloseTo(1, 0.5);
  });

  it('falls back on the default ratio while there is only one shape', async () => {
    const { model, server, run } = simulate(10, 10 / 65_536);
    for (let i = 0; i < 5; i++) {
      await run(256, 1);
      await model.poll(server, signal);
    }
    const { fixed, perPixel } = model.costOf('m', '1');
    expect(fixed / perPixel).toBeCloseTo(DEFAULT_COST.fixed / DEFAULT_COST.perPixel, 0);
    expect(fixed + perPixel * 65_536).toBeCloseTo(20, 0);
  });

  it('waits until both sides have counted the same requests, for some looks', async () => {
    const { model, server, run } = simulate(10, 10 / 65_536);
    await model.poll(server, signal);
    const [answer] = await server.statistics('m', signal);
    if (!answer) throw new TypeError('no statistics');
    await run(256, 1);
    const late = { ...server, statistics: () => Promise.resolve([answer]) };
    await model.poll(late, signal);
    expect(model.learned()).toEqual([]);
    await model.poll(server, signal);
    const { fixed, perPixel } = model.costOf('m', '1');
    expect(fixed + perPixel * 65_536).toBeCloseTo(20, 3);
  });

  it('takes the pictures of other workers to be like its own', async () => {
    const { model, server, run } = simulate(10, 10 / 65_536);
    await model.poll(server, signal);
    for (let i = 0; i < 10; i++) {
      await run(256, 1);
      await run(256, 1, 'by another worker');
      await model.poll(server, signal);
    }
    const { fixed, perPixel } = model.costOf('m', '1');
    expect(fixed + perPixel * 65_536).toBeCloseTo(20, 3);
  });

  it('believes no cost that is out of all proportion', async () => {
    const { model, server, run } = simulate(1000, 0);
    await model.poll(server, signal);
    for (let i = 0; i < 2000; i++) {
      await run(i % 16 < 8 ? 64 : 512, 1);
      await model.poll(server, signal);
    }
    const { fixed, perPixel } = model.costOf('m', '1');
    expect(perPixel).toBeGreaterThan(0);
    expect(fixed / perPixel).toBeCloseTo((32 * DEFAULT_COST.fixed) / DEFAULT_COST.perPixel, 0);
  });
});

describe('looking', () => {
  it('counts from where the server stood when the version was first seen, and then less and less often', async () => {
    const { model, server, run } = simulate(10, 0);
    await run(64, 1); // by somebody else, long ago
    let looks = 0;
    const counting = { ...server, statistics: () => (looks++, server.statistics('m', signal)) };
    await model.poll(counting, signal);
    await model.poll(counting, signal);
    expect(looks).toBe(1); // nothing was sent since
    expect(model.costOf('m', '1')).toEqual(DEFAULT_COST);
    for (let i = 0; i < 60; i++) {
      await run(64, 1);
      await model.poll(counting, signal);
    }
    expect(looks).toBeGreaterThan(25);
    expect(looks).toBeLessThan(35);
  });
});

describe('predictedTime', () => {
  const tiles = { plan: 'tile', width: 256, height: 256, requests: 4 } as const;
  const whole = { plan: 'whole', width: 512, height: 512, requests: 1, ownShape: true } as const;

  it('shares the launch among tiles of this job and of the others', () => {
    const cost = { fixed: 80, perPixel: 0 };
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 1 }, 8)).toBe(80);
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 9 }, 8)).toBe(40);
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 9 }, 1)).toBe(320);
    expect(predictedTime(whole, { ...cost, jobsAtOnce: 9 }, 8)).toBe(80);
  });
});
