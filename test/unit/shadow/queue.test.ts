import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GivenBack } from '../../../src/domain/errors.js';
import { Dropped, type ShadowReport } from '../../../src/domain/shadow.js';
import type { Shadow } from '../../../src/shadow/plan.js';
import { createShadowQueue, type Hold } from '../../../src/shadow/queue.js';

const shadow = (jobId: string) => ({ job: { jobId } }) as unknown as Shadow;
const reported = (jobId: string) => ({ jobId, result: 'compared' }) as unknown as ShadowReport;

/** A queue whose shadows end when they are told to. */
function setUp() {
  vi.useFakeTimers();
  const load = { quiet: true, pressed: false, even: true };
  const withdrawn = new Set<string>();
  const begun: { jobId: string; hold: Hold; finish: (how?: Error) => void }[] = [];
  const told: string[] = [];
  const queue = createShadowQueue({
    load: {
      quiet: () => load.quiet,
      pressed: () => load.pressed,
      withinBudget: () => load.even,
      update: () => undefined,
    },
    whyNot: ({ job: { jobId } }) => (withdrawn.has(jobId) ? 'withdrawn' : undefined),
    work: ({ job: { jobId } }, hold) =>
      new Promise((resolve, reject) => {
        hold.signal.addEventListener('abort', () => reject(hold.signal.reason as Error));
        begun.push({ jobId, hold, finish: (how) => (how ? reject(how) : resolve(reported(jobId))) });
      }),
    onEnd: ({ job: { jobId } }, end) => {
      const how = { reported: () => 'reported', dropped: () => 'reason' in end && end.reason, faulty: () => 'faulty' };
      told.push(`${jobId} ${how[end.kind]()}`);
    },
  });
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  return { queue, load, withdrawn, begun, told, pass, names: () => begun.map(({ jobId }) => jobId) };
}

afterEach(() => vi.useRealTimers());

describe('shadows', () => {
  it('begin after a pause, one at a time, in the order of their jobs', async () => {
    const { queue, begun, told, pass, names } = setUp();
    queue.offer(shadow('a'));
    queue.offer(shadow('b'));
    expect(names()).toEqual([]);
    await pass(1_000);
    expect(names()).toEqual(['a']);
    expect(queue.waiting).toBe(1);
    begun[0]?.finish();
    await pass(1_000);
    expect(names()).toEqual(['a', 'b']);
    begun[1]?.finish();
    await pass(1_000);
    expect(told).toEqual(['a reported', 'b reported']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('do not begin while jobs are at work, and begin afterwards', async () => {
    const { queue, load, pass, names } = setUp();
    load.quiet = false;
    queue.offer(shadow('a'));
    await pass(10_000);
    expect(names()).toEqual([]);
    load.quiet = true;
    await pass(200);
    expect(names()).toEqual(['a']);
  });

  it('stop while jobs are at work, and go on afterwards', async () => {
    const { queue, load, begun, told, pass } = setUp();
    queue.offer(shadow('a'));
    await pass(200);
    let went = 0;
    load.quiet = false;
    void begun[0]?.hold.pause().then(() => went++);
    await pass(10_000);
    expect(went).toBe(0);
    load.quiet = true;
    await pass(50);
    expect(went).toBe(1);
    expect(told).toEqual([]);
  });

  it('run in no context of a job, so that their spans are in none of its traces', async () => {
    const trace = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const queue = createShadowQueue({
      load: { quiet: () => true, pressed: () => false, withinBudget: () => true, update: () => undefined },
      whyNot: () => undefined,
      work({ job: { jobId } }) {
        seen.push(trace.getStore());
        return Promise.resolve(reported(jobId));
      },
      onEnd: () => undefined,
    });
    for (const jobId of ['a', 'b']) trace.run(jobId, () => queue.offer(shadow(jobId)));
    await vi.waitFor(() => expect(seen).toHaveLength(2), 5_000);
    expect(seen).toEqual([undefined, undefined]);
  });

  it('begin, and send a request, only when nothing is owed to jobs', async () => {
    const { queue, load, begun, pass, names } = setUp();
    load.even = false;
    queue.offer(shadow('a'));
    await pass(10_000);
    expect(names()).toEqual([]);
    load.even = true;
    await pass(20);
    expect(names()).toEqual(['a']);
    const went: string[] = [];
    load.even = false;
    void begun[0]?.hold.turn().then(() => went.push('turn'));
    void begun[0]?.hold.pause().then(() => went.push('pause'));
    await pass(1_000);
    expect(went).toEqual(['pause']);
    load.even = true;
    await pass(20);
    expect(went).toEqual(['pause', 'turn']);
  });

  it('are dropped within a moment when a job waits for what they hold', async () => {
    const { queue, load, told, pass } = setUp();
    queue.offer(shadow('a'));
    await pass(200);
    load.pressed = true;
    await pass(20);
    expect(told).toEqual(['a busy']);
  });

  it('are dropped when jobs keep them from their work for minutes', async () => {
    const { queue, load, begun, told, pass } = setUp();
    queue.offer(shadow('a'));
    await pass(200);
    load.quiet = false;
    const paused = begun[0]?.hold.pause().catch((thrown: unknown) => thrown);
    await pass(301_000);
    expect(told).toEqual(['a busy']);
    expect(await paused).toBeInstanceOf(Dropped);
  });

  it('are dropped beyond sixty-four that wait', () => {
    const { queue, load, told } = setUp();
    load.quiet = false;
    for (let i = 0; i < 66; i++) queue.offer(shadow(`${i}`));
    expect(queue.waiting).toBe(64);
    expect(told).toEqual(['64 full', '65 full']);
  });

  it('are dropped when the routes name them no more, also while nothing may begin', async () => {
    const { queue, load, withdrawn, told, pass } = setUp();
    queue.offer(shadow('a'));
    await pass(200);
    load.quiet = false;
    for (const jobId of ['b', 'c']) queue.offer(shadow(jobId));
    withdrawn.add('a');
    withdrawn.add('b');
    await pass(300);
    expect(told).toEqual(['a withdrawn', 'b withdrawn']);
    expect(queue.waiting).toBe(1);
  });

  it('are dropped when the worker stops: those that wait, the one in progress, and those that come later', async () => {
    const { queue, told, pass } = setUp();
    queue.offer(shadow('a'));
    queue.offer(shadow('b'));
    await pass(200);
    queue.stop();
    queue.offer(shadow('c'));
    await pass(1_000);
    expect(told).toEqual(['b stopping', 'c stopping', 'a stopping']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('leave nothing waiting behind when they have ended', async () => {
    const { queue, load, begun, pass } = setUp();
    queue.offer(shadow('a'));
    await pass(200);
    load.quiet = false;
    const left = begun[0]?.hold.turn().catch((thrown: unknown) => thrown);
    begun[0]?.finish();
    await pass(50);
    expect(await left).toBeInstanceOf(GivenBack);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tell of a fault of their own, and the next one begins', async () => {
    const { queue, begun, told, pass, names } = setUp();
    queue.offer(shadow('a'));
    queue.offer(shadow('b'));
    await pass(200);
    begun[0]?.finish(new TypeError('a bug'));
    await pass(200);
    expect(told).toEqual(['a faulty']);
    expect(names()).toEqual(['a', 'b']);
  });
});
