import { describe, expect, it } from 'vitest';
import type { ModelServer, VersionStatistics } from '../../../src/domain/ports.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { predictedTime } from '../../../src/pipeline/cost.js';
import { createCostModel } from '../../../src/worker/cost-model.js';

const signal = new AbortController().signal;

/** A server of which the true cost is known; batches are as large as the test says. */
function simulate(fixed: number, perPixel: number) {
  let requests = 0;
  const batches = new Map<number, { executions: number; totalMs: number }>();
  const server = {
    contracts: () => new Map(),
    unready: () => new Map(),
    refresh: () => Promise.resolve(),
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
    infer: ({ inputs }) => Promise.resolve({ version: '1', output: inputs[0] ?? expect.fail() }),
  } satisfies ModelServer;
  const model = createCostModel();
  const watched = model.watch(server);
  async function run(side: number, batchSize: number) {
    const image = createTensor('image', 'UINT8', [side, side, 3], Buffer.alloc(side * side * 3));
    for (let i = 0; i < batchSize; i++) {
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
  it('states its default before it has seen anything', () => {
    expect(createCostModel().costOf('m', '1')).toEqual({ fixed: 65_536, perPixel: 1 });
  });

  it.each([
    [45, 5],
    [5, 5],
    [1.25, 5],
  ])('learns a launch of %d ms and %d ms per 256 x 256', async (fixed, each) => {
    const { model, server, run } = simulate(fixed, each / 65_536);
    await run(64, 1);
    await model.look(server, signal);
    for (const [side, batch] of [
      [64, 1],
      [256, 8],
      [512, 2],
      [128, 4],
      [400, 1],
      [100, 8],
      [256, 1],
    ] as const) {
      await run(side, batch);
      await model.look(server, signal);
    }
    const cost = model.costOf('m', '1');
    expect(cost.fixed / fixed).toBeGreaterThan(0.8);
    expect(cost.fixed / fixed).toBeLessThan(1.25);
    expect((cost.perPixel * 65_536) / each).toBeCloseTo(1, 1);
  });

  it('falls back on the default ratio while there is only one shape', async () => {
    const { model, server, run } = simulate(10, 10 / 65_536);
    for (let i = 0; i < 5; i++) {
      await run(256, 1);
      await model.look(server, signal);
    }
    const { fixed, perPixel } = model.costOf('m', '1');
    expect(fixed / perPixel / 65_536).toBeCloseTo(1, 1);
    expect(fixed + perPixel * 65_536).toBeCloseTo(20, 0);
  });
});

describe('predictedTime', () => {
  const tiles = { plan: 'tile', width: 256, height: 256, requests: 4 } as const;
  const whole = { plan: 'whole', width: 512, height: 512, requests: 1 } as const;

  it('shares the launch among tiles of this job and of the others', () => {
    const cost = { fixed: 80, perPixel: 0 };
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 1 }, 8)).toBe(80);
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 9 }, 8)).toBe(40);
    expect(predictedTime(tiles, { ...cost, jobsAtOnce: 9 }, 1)).toBe(320);
    expect(predictedTime(whole, { ...cost, jobsAtOnce: 9 }, 8)).toBe(80);
  });
});
