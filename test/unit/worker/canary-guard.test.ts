import { describe, expect, it } from 'vitest';
import type { ArmStop } from '../../../src/records/arm-stop.js';
import { JobError } from '../../../src/domain/errors.js';
import type { Step } from '../../../src/domain/completion.js';
import type { Arm, ArmEnd } from '../../../src/domain/experiment.js';
import { createCanaryGuard } from '../../../src/worker/canary-guard.js';
import { memoryStore } from '../../support/memory-store.js';
import { threeArms } from '../../support/routes.js';

const never = new AbortController().signal;
/** Workers that share a storage and a routes file. */
function world() {
  const { store, objects, fail } = memoryStore();
  let arms = threeArms();
  let time = 0;
  const worker = (name: string) => {
    const told: { stop: Partial<ArmStop>; here: boolean }[] = [];
    const guard = createCanaryGuard({
      ...{ store, statePrefix: 'gs://state/records', worker: name, arms: () => arms, now: () => time },
      onStop: (stop, here) => told.push({ stop, here }),
    });
    const end = (arm: Arm, end: ArmEnd, times = 1) => {
      for (let i = 0; i < times; i++) guard.ended(arm, end);
    };
    return { guard, told, end };
  };
  return {
    ...{ objects, fail, worker },
    arm: (name: string) => arms.find((one) => one.name === name) ?? expect.fail(),
    edit: (guard: object) => (arms = threeArms(guard)),
    pass: (ms: number) => (time += ms),
  };
}

/** Until what was begun without being waited for is done. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('an arm', () => {
  it.each<[string, readonly [ArmEnd, number][], boolean]>([
    ['too few operations', [['failed', 3]], false],
    ['as many as needed, all failed', [['failed', 4]], true],
    [
      'just the share',
      [
        ['done', 3],
        ['failed', 3],
      ],
      true,
    ],
    [
      'less than the share',
      [
        ['done', 4],
        ['failed', 3],
      ],
      false,
    ],
    [
      'too few that were its own fault',
      [
        ['unclear', 1],
        ['failed', 3],
      ],
      false,
    ],
    ['none at all', [['done', 50]], false],
  ])('of which there were %s', async (_name, ends, stopped) => {
    const { worker, arm, objects } = world();
    const { guard, told, end } = worker('a');
    for (const [how, times] of ends) end(arm('v2'), how, times);
    await settled();
    expect(guard.stopped(arm('v2'))).toBe(stopped);
    expect(told).toHaveLength(stopped ? 1 : 0);
    expect(objects.size).toBe(stopped ? 1 : 0);
    expect(guard.stopped(arm('v3'))).toBe(false);
  });

  it('of the default version is not judged', () => {
    const { worker, arm } = world();
    const { guard, end } = worker('a');
    end(arm('v1'), 'failed', 100);
    expect(guard.stopped(arm('v1'))).toBe(false);
  });

  it('is judged by what was lately', () => {
    const { worker, arm, pass } = world();
    const { guard, end } = worker('a');
    end(arm('v2'), 'failed', 3);
    pass(61_000);
    end(arm('v2'), 'failed', 3);
    expect(guard.stopped(arm('v2'))).toBe(false);
    pass(30_000);
    end(arm('v2'), 'failed', 1);
    expect(guard.stopped(arm('v2'))).toBe(true);
  });
});

describe('an arm that takes too long', () => {
  const late = { jobId: 'a', error: new JobError('EXECUTION_TIMEOUT', 'not done within 1 s') };

  it('is stopped for that when at least half of its failures took too long', async () => {
    const { worker, arm } = world();
    const [{ guard, end }, other] = [worker('a'), worker('b')];
    end(arm('v2'), 'failed', 2);
    for (let i = 0; i < 2; i++) guard.ended(arm('v2'), 'failed', late);
    end(arm('v3'), 'failed', 3);
    guard.ended(arm('v3'), 'failed', late);
    expect([arm('v2'), arm('v3')].map((one) => guard.stoppedFor(one))).toEqual(['slow', 'failures']);
    await settled();
    await other.guard.poll(never);
    expect(other.guard.stoppedFor(arm('v2'))).toBe('slow');
    expect(other.told).toContainEqual({
      stop: expect.objectContaining({ failures: 4, slow: 2 }) as ArmStop,
      here: false,
    });
  });

  const step = (more: Partial<Step>): Step => ({
    ...{ model: 'upscale', servedVersion: '1', plan: 'tile', requests: 4, experiment: 'x', arm: 'v1' },
    ...more,
  });
  const onArm = { servedVersion: '2', arm: 'v2' };
  const took = (seconds: number, computed = 65_536) => ({ computed, useful: 0, seconds });

  it('is stopped when its requests take as many times as long as those of the default version', async () => {
    const { worker, arm, edit, objects } = world();
    edit({ maxLatencyRatio: 3 });
    const { guard } = worker('a');
    for (let i = 0; i < 5; i++) guard.took(step({}), took(1));
    for (let i = 0; i < 9; i++) guard.took(step(onArm), took(2.9));
    expect(guard.stoppedFor(arm('v2'))).toBeUndefined();
    for (let i = 0; i < 8; i++) guard.took(step(onArm), took(3.1));
    expect(guard.stoppedFor(arm('v2'))).toBeUndefined(); // the median is still the smaller one
    for (let i = 0; i < 2; i++) guard.took(step(onArm), took(3.1));
    expect(guard.stoppedFor(arm('v2'))).toBe('slow');
    expect(guard.stopped(arm('v3'))).toBe(false);
    await settled();
    const [{ bytes } = expect.fail()] = objects.values();
    expect(JSON.parse(bytes.toString())).toMatchObject({ reason: 'slow', latencyRatio: 3.1, arm: 'v2' });
  });

  it.each<[string, object, Partial<Step>, number]>([
    ['the guard has no ratio', {}, onArm, 65_536],
    ['the default version has done none of that size', { maxLatencyRatio: 3 }, onArm, 1_000_000],
    ['it fell back', { maxLatencyRatio: 3 }, { arm: 'v2', fallbackFrom: '2' }, 65_536],
    ['it was another experiment', { maxLatencyRatio: 3 }, { ...onArm, experiment: 'y' }, 65_536],
    ['it was another model', { maxLatencyRatio: 3 }, { ...onArm, model: 'enhance' }, 65_536],
    ['too few were compared', { maxLatencyRatio: 3, minOperations: 21 }, onArm, 65_536],
  ])('is not stopped where %s', (_name, limits, more, pixels) => {
    const { worker, arm, edit } = world();
    edit(limits);
    const { guard } = worker('a');
    for (let i = 0; i < 20; i++) guard.took(step({}), took(1));
    for (let i = 0; i < 20; i++) guard.took(step(more), took(100, pixels));
    expect(guard.stopped(arm('v2'))).toBe(false);
  });

  it('is compared within the window', () => {
    const { worker, arm, edit, pass } = world();
    edit({ maxLatencyRatio: 3 });
    const { guard } = worker('a');
    for (let i = 0; i < 5; i++) guard.took(step({}), took(1));
    pass(60_001);
    for (let i = 0; i < 9; i++) guard.took(step(onArm), took(9));
    expect(guard.stopped(arm('v2'))).toBe(false);
  });
});

describe('a decision', () => {
  it('is one for all workers, says why, and is told once by each', async () => {
    const { worker, arm, objects } = world();
    const [one, other] = [worker('one'), worker('other')];
    one.end(arm('v2'), 'done', 2);
    one.end(arm('v2'), 'failed', 2);
    expect(one.guard.stopped(arm('v2'))).toBe(true); // at once, before it is written
    one.end(arm('v2'), 'failed', 5);
    await settled();
    expect(other.guard.stopped(arm('v2'))).toBe(false);
    for (let i = 0; i < 3; i++) for (const { guard } of [one, other]) await guard.poll(never);
    expect(other.guard.stopped(arm('v2'))).toBe(true);
    const [[uri, { bytes }] = expect.fail(), ...more] = [...objects];
    expect(more).toEqual([]);
    expect(uri).toBe(`gs://state/records/experiments/x~v2~${arm('v2').revision}.stopped`);
    const decision = JSON.parse(bytes.toString()) as unknown;
    expect(decision).toMatchObject({ experiment: 'x', model: 'upscale', arm: 'v2', version: '2', worker: 'one' });
    expect(decision).toMatchObject({ operations: 4, failures: 2, reason: 'failures', slow: 0 });
    expect(decision).toMatchObject({ time: expect.stringMatching(/^2.*Z$/) as string });
    expect(one.told).toEqual([{ stop: decision, here: true }]);
    expect(other.told).toEqual([{ stop: decision, here: false }]);
  });

  it('tells of the last failure', async () => {
    const { worker, arm, objects } = world();
    const { guard } = worker('one');
    for (const jobId of ['a', 'b', 'c', 'd']) {
      guard.ended(arm('v2'), 'failed', { jobId, error: new JobError('INFERENCE_FAILED', 'out of paint'.repeat(99)) });
    }
    await settled();
    const [{ bytes } = expect.fail()] = objects.values();
    const { jobId, error } = JSON.parse(bytes.toString()) as ArmStop;
    expect(jobId).toBe('d');
    expect(error).toMatch(/^INFERENCE_FAILED: out of paint/);
    expect(error).toHaveLength(500);
  });

  it('of two at once is that of the first', async () => {
    const { worker, arm, objects } = world();
    const both = [worker('one'), worker('other')];
    for (const { end } of both) end(arm('v2'), 'failed', 4);
    await settled();
    for (const { guard } of both) await guard.poll(never);
    expect(objects.size).toBe(1);
    for (const { told } of both) expect(told).toHaveLength(1);
  });

  it('holds while storage is away, and is written when that is back', async () => {
    const { worker, arm, objects, fail } = world();
    const { guard, end, told } = worker('a');
    fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    end(arm('v2'), 'failed', 4);
    await settled();
    expect(guard.stopped(arm('v2'))).toBe(true);
    await expect(guard.poll(never)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(objects.size).toBe(0);
    fail(undefined);
    await guard.poll(never);
    expect(objects.size).toBe(1);
    expect(told).toHaveLength(1);
  });

  it('holds whatever is in its place', async () => {
    const { worker, arm } = world();
    const { guard, end } = worker('a');
    end(arm('v2'), 'failed', 4);
    await settled();
    const { store, objects } = memoryStore();
    const name = `records/experiments/x~v2~${arm('v2').revision}.stopped`;
    await store.create({ bucket: 'state', name }, Buffer.from('no'), { contentType: '', signal: never });
    const told: unknown[] = [];
    const late = createCanaryGuard({
      ...{ store, statePrefix: 'gs://state/records', worker: 'b', arms: () => [arm('v2')] },
      onStop: (stop, here) => told.push({ stop, here }),
    });
    await late.poll(never);
    expect(late.stopped(arm('v2'))).toBe(true);
    expect(told).toMatchObject([{ stop: { experiment: 'x', arm: 'v2' }, here: false }]);
    expect(objects.size).toBe(1);
    expect(guard.stopped(arm('v2'))).toBe(true);
  });

  it('is about an experiment as it was: one that was edited begins anew', async () => {
    const { worker, arm, edit, objects } = world();
    const { guard, end } = worker('a');
    end(arm('v2'), 'failed', 4);
    await settled();
    const before = arm('v2');
    edit({ minOperations: 5 });
    await guard.poll(never);
    expect(guard.stopped(arm('v2'))).toBe(false);
    end(arm('v2'), 'failed', 4);
    expect(guard.stopped(arm('v2'))).toBe(false);
    end(arm('v2'), 'failed', 1);
    await settled();
    expect(guard.stopped(arm('v2'))).toBe(true);
    expect(objects.size).toBe(2);
    // And edited back, it is what it was.
    edit({});
    await guard.poll(never);
    expect(arm('v2').revision).toBe(before.revision);
    expect(guard.stopped(arm('v2'))).toBe(true);
  });
});
