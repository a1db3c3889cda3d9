import { describe, expect, it } from 'vitest';
import { seeded } from '../../../scripts/lab/random.js';
import type { Capacity } from '../../../src/domain/capacity.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import type { PlannedRequest } from '../../../src/pipeline/transform.js';
import type { Run } from '../../../src/scheduling/next-run.js';
import { TenantTurns } from '../../../src/scheduling/tenant-turns.js';
import { VersionQueue } from '../../../src/scheduling/version-queue.js';
import { createWaitQueue } from '../../../src/scheduling/wait-queue.js';

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

describe('TenantTurns', () => {
  it('lets a tenant go first that was not served lately, then the one that was served longest ago', () => {
    const turns = new TenantTurns();
    for (const tenant of ['a', undefined, 'b', 'a']) turns.served({ tenant });
    const inOrder = ['a', 'b', '', 'new'].sort(
      (one, other) => turns.lastTurn({ tenant: one }) - turns.lastTurn({ tenant: other }),
    );
    expect(inOrder).toEqual(['new', '', 'b', 'a']);
  });

  it('remembers a bounded number of tenants', () => {
    const turns = new TenantTurns();
    for (let i = 0; i <= 1_000; i++) turns.served({ tenant: `t${i}` });
    expect([turns.lastTurn({ tenant: 't0' }), turns.lastTurn({ tenant: 't1' })]).toEqual([0, 2]);
  });
});

/**
 * A crowd of random tenants, of whom one has most of the jobs. In the middle of it, a single job of another tenant comes.
 * @returns the tenants that were served after it came and before it was served
 */
async function servedBefore(
  seed: number,
  ask: (tenant: string, served: () => void) => void,
  serveNext: () => void,
): Promise<string[]> {
  const random = seeded(seed);
  const served: string[] = [];
  const crowd = () => (random() < 0.8 ? 'a' : `t${Math.floor(random() * 6)}`);
  const come = () => {
    const tenant = crowd();
    ask(tenant, () => served.push(tenant));
  };
  for (let i = 0; i < 200; i++) come();
  for (let i = 0; i < 50; i++) {
    serveNext();
    await settled();
  }
  served.length = 0;
  const single = { isServed: false };
  ask('single', () => (single.isServed = true));
  while (!single.isServed) {
    come();
    serveNext();
    await settled();
  }
  return served;
}

describe('a single job of one tenant', () => {
  it.each(SEEDS)('waits for at most one of each other tenant in a queue (seed %d)', async (seed) => {
    const queue = createWaitQueue<{ readonly priority: 'batch'; readonly tenant: string }, undefined>(() => undefined);
    const before = await servedBefore(
      seed,
      (tenant, served) => void queue.wait({ priority: 'batch', tenant }, never).then(served),
      () =>
        queue.serve(
          () => true,
          () => undefined,
        ),
    );
    expect(new Set(before).size).toBe(before.length);
  });

  it.each(SEEDS)('is led after at most one run of each other tenant (seed %d)', async (seed) => {
    const capacity: Capacity = { inFlight: 1, batch: 1, instances: 1, runs: 1, growMs: 0, pauseMs: 0 };
    const options = { model: 'm', version: '1', capacity: () => capacity, cost: () => DEFAULT_COST };
    const queue = new VersionQueue(options);
    const inFlight: Run[] = [];
    const requestOf = (tenant: string): PlannedRequest => ({
      ...{ model: 'm', version: '1', priority: 'batch', tenant, shape: { width: 64, height: 64 } },
    });
    const before = await servedBefore(
      seed,
      (tenant, served) =>
        void queue.acquire({}, requestOf(tenant), never).then((run) => {
          inFlight.push(run);
          served();
        }),
      () => {
        const run = inFlight.shift();
        if (!run) return;
        queue.leaveRun(run);
        queue.leave();
      },
    );
    expect(new Set(before).size).toBe(before.length);
  });
});
