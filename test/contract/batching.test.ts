/** Pictures through the pipeline's own path to a real Triton: whether batches form there, and what comes back. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import { capacityOf } from '../../src/domain/capacity.js';
import type { Raster, Size } from '../../src/domain/raster.js';
import { atOnce } from '../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../src/pipeline/cost.js';
import { PLAN_TABLE } from '../../src/pipeline/plans/index.js';
import { transform } from '../../src/pipeline/transform.js';
import { createFairShare } from '../../src/scheduling/fair-share.js';

const { signal } = new AbortController();
let triton: Triton;
beforeAll(async () => {
  triton = connectTriton({ url: inject('stack').env.TRITON_URL });
  await triton.refresh(signal);
});
afterAll(() => triton.close());

function noise({ width, height }: Size): Raster {
  const rgb = Buffer.alloc(width * height * 3);
  let state = width * 1000 + height;
  for (let i = 0; i < rgb.length; i++) rgb[i] = (state = (state * 48_271) % 2_147_483_647) >> 8;
  return { width, height, rgb };
}

async function counted(model: string) {
  const [statistics] = await triton.statistics(model, signal);
  const executions = statistics?.batches.reduce((sum, batch) => sum + batch.executions, 0) ?? 0;
  return { requests: statistics?.requests ?? 0, executions };
}

async function send(model: string, pictures: readonly Raster[]) {
  const share = createFairShare({
    capacityOf: (name) => capacityOf(triton.contracts().get(name)),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: 0, failedAttempts: 1 },
  });
  const contract = triton.contracts().get(model) ?? expect.fail(`no model ${model}`);
  const version = contract.versions.get('1') ?? expect.fail();
  const before = await counted(model);
  const done = await Promise.all(
    pictures.map((raster) => {
      const routed = { operation: { model }, model: contract, version: '1', contract: version, parameters: {} };
      const shapes = version.plans.flatMap((plan) => PLAN_TABLE[plan].shapes(version, raster));
      return transform(
        raster,
        { routed, shapes },
        {
          ...{ models: triton, schedule: share.scheduler({}), codec: atOnce, priority: 'batch', signal },
          predict: () => ({ ...DEFAULT_COST, jobsAtOnce: pictures.length }),
        },
      );
    }),
  );
  const after = await counted(model);
  const { requests, executions } = after;
  return { done, requests: requests - before.requests, executions: executions - before.executions };
}

describe('pictures of mixed sizes', () => {
  it('meet in batches, and come back as if they had gone alone', async () => {
    const pictures = Array.from({ length: 24 }, (_, i) => noise({ width: 90 + 2 * i, height: 140 - i }));
    const { done, requests, executions } = await send('mixed', pictures);
    expect(requests).toBe(24);
    // One by one they would be 24. The first two go alone, since nobody is there yet.
    expect(executions).toBeLessThanOrEqual(10);
    done.forEach(({ raster, step }, i) => {
      expect(raster).toEqual(pictures[i]);
      expect(step).toEqual({ model: 'mixed', servedVersion: '1', plan: 'whole', requests: 1 });
    });
  });

  it('go as they are where the model does not say that a border may be moved', async () => {
    const pictures = Array.from({ length: 6 }, (_, i) => noise({ width: 90 + 2 * i, height: 140 - i }));
    const { done, requests, executions } = await send('sleep', pictures);
    expect([requests, executions]).toEqual([6, 6]);
    done.forEach(({ raster }, i) => expect(raster).toEqual(pictures[i]));
  });
});
