import { describe, expect, it } from 'vitest';
import { createPace } from '../../../src/shadow/pace.js';

/** A pace with a clock of its own, and the jobs that it sees. */
function setUp() {
  const jobs = { active: 0, atTriton: 0 };
  let time = 0;
  const pace = createPace({ active: () => jobs.active, atTriton: () => jobs.atTriton, now: () => time });
  pace.update();
  /** Lets time pass, with an update every ten milliseconds, and these jobs. */
  const pass = (ms: number, active: number, atTriton: number) => {
    Object.assign(jobs, { active, atTriton });
    for (let passed = 0; passed < ms; passed += 10) {
      time += 10;
      pace.update();
    }
  };
  /** A request of a shadow that takes so long, beside these jobs. */
  const shadow = async (ms: number, active: number, atTriton: number) => {
    await pace.during(() => {
      pass(ms, active, atTriton);
      return Promise.resolve();
    });
  };
  /** Time until nothing is owed, with jobs in work that have no request at Triton. */
  const untilEven = (active = 1) => {
    const since = time;
    while (!pace.withinBudget) pass(10, active, 0);
    return time - since;
  };
  /** Lets time pass without an update. */
  const skip = (ms: number) => (time += ms);
  return { pace, pass, skip, shadow, untilEven };
}

describe('the pace of shadows', () => {
  it('lets them go on while no job comes', async () => {
    const { pace, shadow } = setUp();
    await shadow(60_000, 0, 0);
    expect(pace.withinBudget).toBe(true);
  });

  it('is a two-hundredth of the time that jobs spend', async () => {
    const { pace, shadow, untilEven } = setUp();
    await shadow(100, 1, 1);
    expect(pace.withinBudget).toBe(false);
    // 100 ms of one job, less what it has spent meanwhile.
    expect(Math.abs(untilEven() - 19_900)).toBeLessThan(400);
  });

  it('counts no request of a job that has no shadow beside it', () => {
    const { pace, pass } = setUp();
    pass(10_000, 4, 4);
    expect(pace.withinBudget).toBe(true);
  });

  it('counts the jobs that wait behind the delayed one, the more the busier Triton is', async () => {
    const { pass, shadow, untilEven } = setUp();
    for (let i = 0; i < 600; i++) {
      pass(70, 1, 1);
      pass(30, 0, 0);
    }
    await shadow(100, 1, 1);
    // Busy for 70 % of the time: a delay reaches more than three jobs.
    expect(Math.abs(untilEven() / 19_900 - 1 / 0.3)).toBeLessThan(0.2);
  });

  it('is kept sooner by more jobs, and by an idle worker as by one job', async () => {
    for (const [active, expected] of [
      [8, 2_490],
      [1, 19_900],
      [0, 19_900],
    ] as const) {
      const { shadow, untilEven } = setUp();
      await shadow(100, 1, 1);
      expect(Math.abs(untilEven(active) - expected)).toBeLessThan(400);
    }
  });

  it('stops them for minutes, and not for ever, after a version that hangs', async () => {
    const { shadow, untilEven } = setUp();
    await shadow(60_000, 8, 8);
    expect(Math.abs(untilEven(0) - 300_000)).toBeLessThan(1_000);
  });

  it('saves nothing for later, and takes a long time without updates for a short one', async () => {
    const { pass, shadow, untilEven } = setUp();
    pass(600_000, 32, 0);
    await shadow(100, 1, 1);
    expect(untilEven()).toBeGreaterThan(19_000);
  });

  it('knows a worker that is never without a job', () => {
    const { pace, pass } = setUp();
    expect(pace.crowded).toBe(false);
    pass(4_900, 1, 0);
    expect(pace.crowded).toBe(false);
    pass(100, 1, 0);
    expect(pace.crowded).toBe(true);
    pass(10, 0, 0);
    expect(pace.crowded).toBe(false);
  });

  it('knows nothing of a time without updates', () => {
    const { pace, pass, skip } = setUp();
    pass(10, 1, 0);
    skip(60_000);
    pass(10, 1, 0);
    expect(pace.crowded).toBe(false);
  });
});
