import { describe, expect, it } from 'vitest';
import type { Capacity } from '../../../src/domain/capacity.js';
import type { Priority } from '../../../src/domain/job.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { TenantTurns } from '../../../src/scheduling/tenant-turns.js';
import {
  behindFrom,
  nextRun,
  nextToJoin,
  type PastRuns,
  type QueueState,
  type Run,
  waitedForOthersMs,
} from '../../../src/scheduling/next-run.js';

const CAPACITY: Capacity = { inFlight: 16, batch: 8, instances: 1, runs: 2, growMs: 10, pauseMs: 0 };

interface Asked {
  readonly side?: number;
  readonly priority?: Priority;
  readonly tenant?: string;
  readonly mayGrow?: boolean;
}

/** One waiting request for each job, in the order of their turns. */
function state(jobs: Readonly<Record<string, Asked>>, more: Partial<QueueState> = {}) {
  const named = Object.entries(jobs).map(([name, { side = 100, priority = 'batch', mayGrow = false, tenant }]) => {
    const shape = { width: side, height: side, mayGrow };
    return [{ name }, [{ request: { model: 'm', version: '1', priority, tenant, shape } }]] as const;
  });
  return {
    turns: new Map(named),
    tenants: new TenantTurns(),
    runs: [],
    inFlight: 0,
    lastLed: 'batch',
    shared: false,
    ...more,
  } satisfies QueueState;
}
const run = (more: Partial<Run> = {}): Run => ({
  ...{ window: { width: 100, height: 100 }, most: 8, leader: {}, begunAt: 0, sent: 1, inFlight: 1 },
  ...more,
});

describe('the next run', () => {
  it('is led by the job whose turn it is, in its own window', () => {
    const given = nextRun(state({ a: { side: 64 }, b: {} }), CAPACITY, DEFAULT_COST);
    expect(given).toMatchObject({ leader: { name: 'a' }, window: { width: 64, height: 64 }, most: 8 });
    expect(given?.members).toEqual([{ name: 'a' }]);
  });

  it('is none while as many runs are in flight as the model takes, or nothing waits', () => {
    expect(nextRun(state({ a: {} }, { runs: [run(), run()] }), CAPACITY, DEFAULT_COST)).toBeUndefined();
    expect(nextRun(state({}), CAPACITY, DEFAULT_COST)).toBeUndefined();
  });

  it('lets interactive jobs go first, but not twice in succession', () => {
    const jobs = { a: {}, b: { priority: 'interactive' } } as const;
    expect(nextRun(state(jobs), CAPACITY, DEFAULT_COST)?.leader).toEqual({ name: 'b' });
    expect(nextRun(state(jobs, { lastLed: 'interactive' }), CAPACITY, DEFAULT_COST)?.leader).toEqual({ name: 'a' });
  });

  it('is led by the tenant that led longest ago, within one priority', () => {
    const tenants = new TenantTurns();
    const jobs: Readonly<Record<string, Asked>> = {
      ...{ a1: { tenant: 'a' }, a2: { tenant: 'a' }, b: { tenant: 'b' }, nobody: {} },
      a3: { tenant: 'a', priority: 'interactive' },
    };
    const leaderAfter = (tenant: string, lastLed: Priority) => {
      tenants.served({ tenant });
      return nextRun(state(jobs, { tenants, lastLed }), CAPACITY, DEFAULT_COST)?.leader;
    };
    expect(leaderAfter('a', 'interactive')).toEqual({ name: 'b' });
    expect(leaderAfter('b', 'interactive')).toEqual({ name: 'nobody' });
    expect(leaderAfter('', 'interactive')).toEqual({ name: 'a1' });
    expect(leaderAfter('a', 'batch')).toEqual({ name: 'a3' });
  });

  it('is not led by a job that leads the run before it, where jobs meet', () => {
    const given = state({ a: {}, b: {} });
    const [a] = [...given.turns.keys()];
    const runs = [run({ leader: a ?? {} })];
    expect(nextRun({ ...given, runs, shared: true }, CAPACITY, DEFAULT_COST)?.leader).toEqual({ name: 'b' });
    expect(nextRun({ ...given, runs }, CAPACITY, DEFAULT_COST)?.leader).toEqual({ name: 'a' });
  });

  it('takes pictures that may be padded together', () => {
    const grows = { mayGrow: true };
    const given = nextRun(state({ a: { side: 100, ...grows }, b: { side: 104, ...grows } }), CAPACITY, DEFAULT_COST);
    expect(given?.window).toEqual({ width: 104, height: 104 });
    expect(given?.members).toEqual([{ name: 'a' }, { name: 'b' }]);
  });
});

describe('the next request to join a run', () => {
  it('has the window of the newest run', () => {
    const jobs = { a: { side: 64 }, b: { side: 100 } };
    expect(nextToJoin(state(jobs, { runs: [run()] }), CAPACITY, 5)).toEqual({ name: 'b' });
  });

  it.each([
    ['the run is full', run({ sent: 8 }), 5],
    ['its batch has begun', run(), 11],
  ])('is none when %s', (_why, newest, now) => {
    expect(nextToJoin(state({ a: {} }, { runs: [newest] }), CAPACITY, now)).toBeUndefined();
  });
});

describe('a run behind the one that the model computes', () => {
  // 8 pictures of 10,000 pixels take 200 ms.
  const cost = { inMs: true, fixed: 40, perPixel: 0.002 };
  const full = (begunAt: number) => run({ begunAt, sent: 8 });
  const behind = (runs: readonly Run[], past: Partial<PastRuns> = {}, more: Partial<Capacity> = {}, job: Asked = {}) =>
    behindFrom(state({ a: job }, { runs }), { ...CAPACITY, ...more }, cost, {
      endedAt: -Infinity,
      othersMs: 0,
      ...past,
    });

  it('may be sent while half of the execution in front of it is left', () => {
    expect(behind([full(1_000)])).toBeCloseTo(1_100);
  });

  it('counts the execution from the end of the one before', () => {
    expect(behind([full(1_000)], { endedAt: 1_080 })).toBeCloseTo(1_180);
  });

  it('is sent 50 ms ahead if half of the execution is shorter', () => {
    expect(behind([run({ begunAt: 1_000 })])).toBeCloseTo(1_010);
  });

  it('may be sent at once if an instance is free, or if the cost is not known', () => {
    expect(behind([full(0)], {}, { instances: 2 })).toBe(-Infinity);
    const past = { endedAt: 0, othersMs: 0 };
    expect(behindFrom(state({ a: {} }, { runs: [full(0)] }), CAPACITY, DEFAULT_COST, past)).toBe(-Infinity);
  });

  it('waits for the instance that is free first', () => {
    expect(behind([full(1_000), full(1_050)], {}, { instances: 2 })).toBeCloseTo(1_100);
  });

  it('stays back while the one in front waits for the executions of other workers', () => {
    expect(behind([full(1_000)], { othersMs: 600 })).toBeCloseTo(1_700);
  });

  it('does not stay back for other workers if an interactive job leads it', () => {
    expect(behind([full(1_000)], { othersMs: 600 }, {}, { priority: 'interactive' })).toBeCloseTo(1_100);
  });

  it('stays back if the interactive job already leads the run in front, so that a batch job leads the next', () => {
    const given = state({ a: { priority: 'interactive' }, b: {} }, { shared: true });
    const [leader = {}] = given.turns.keys();
    const runs = [run({ begunAt: 1_000, sent: 8, leader })];
    const past = { endedAt: -Infinity, othersMs: 600 };
    expect(behindFrom({ ...given, runs }, CAPACITY, cost, past)).toBeCloseTo(1_700);
  });
});

describe('the wait of a run for other workers', () => {
  const cost = { inMs: true, fixed: 40, perPixel: 0.002 };
  const ended = run({ begunAt: 1_000, sent: 8 });

  it('is the time that its execution does not explain', () => {
    expect(waitedForOthersMs(ended, cost, -Infinity, 1_750)).toBeCloseTo(550);
  });

  it('does not include the run before it', () => {
    expect(waitedForOthersMs(ended, cost, 1_100, 1_750)).toBeCloseTo(450);
  });

  it('is nothing if the run was faster than expected, or if the cost is not known', () => {
    expect(waitedForOthersMs(ended, cost, -Infinity, 1_150)).toBe(0);
    expect(waitedForOthersMs(ended, DEFAULT_COST, -Infinity, 1_750)).toBe(0);
  });
});
