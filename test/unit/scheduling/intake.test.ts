import { describe, expect, it, vi } from 'vitest';
import { GivenBack } from '../../../src/domain/errors.js';
import { createIntake, type EntryRequest, type Intake } from '../../../src/scheduling/intake.js';

/** Waits for its turn, and must get it. @returns what gives the place back */
async function come(
  intake: Intake,
  jobId: string,
  model = 'm',
  alone = false,
  priority: EntryRequest['priority'] = 'batch',
): Promise<() => void> {
  const entry = await intake.enter({ jobId, model, alone, priority });
  if (entry.kind !== 'entered') throw entry.reason;
  return entry.leave;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('createIntake', () => {
  it('lets in no more than its limit, in order', async () => {
    const intake = createIntake(2);
    const order: string[] = [];
    const enter = (id: string) => come(intake, id, 'm').then((leave) => (order.push(id), leave));
    const [a] = [enter('a'), enter('b'), enter('c'), enter('d')];
    await settled();
    expect(order).toEqual(['a', 'b']);
    expect([intake.active, intake.waiting]).toEqual([2, 2]);
    (await a)();
    await settled();
    expect(order).toEqual(['a', 'b', 'c']);
  });

  it('works on one delivery of a job at a time, and lets others pass meanwhile', async () => {
    const intake = createIntake(2);
    const order: string[] = [];
    const enter = (id: string, name: string) => come(intake, id, 'm').then((leave) => (order.push(name), leave));
    const first = enter('a', 'a1');
    void enter('a', 'a2');
    void enter('b', 'b');
    await settled();
    expect(order).toEqual(['a1', 'b']);
    (await first)();
    await settled();
    expect(order).toEqual(['a1', 'b', 'a2']);
  });

  it('sends away whoever waits when it closes, and whoever comes later', async () => {
    const intake = createIntake(1);
    const inside = await come(intake, 'a', 'm');
    const waiting = come(intake, 'b', 'm');
    intake.close();
    await expect(waiting).rejects.toBeInstanceOf(GivenBack);
    await expect(come(intake, 'c', 'm')).rejects.toBeInstanceOf(GivenBack);
    inside();
    expect(intake.active).toBe(0);
  });

  it('gives the next place to the model that holds the fewest', async () => {
    const intake = createIntake(4);
    const order: string[] = [];
    const enter = (id: string, model: string) => come(intake, id, model).then((leave) => (order.push(id), leave));
    const first = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6'].map((id) => enter(id, 'upscale'));
    await settled();
    expect(order).toEqual(['u1', 'u2', 'u3', 'u4']); // alone, it may have all
    void enter('c1', 'cut');
    void enter('c2', 'cut');
    (await first[0])?.();
    (await first[1])?.();
    await settled();
    expect(order.slice(4)).toEqual(['c1', 'c2']);
    (await first[2])?.();
    await settled();
    expect(order.slice(6)).toEqual(['u5']);
  });

  it('gives a tenant that comes later the next place, and counts the jobs of each', async () => {
    const intake = createIntake(4);
    const order: string[] = [];
    const enter = (jobId: string, tenant?: string) =>
      intake.enter({ jobId, model: 'm', tenant }).then((entry) => {
        order.push(jobId);
        return entry.kind === 'entered' ? entry.leave : () => undefined;
      });
    const crowd = Array.from({ length: 8 }, (_, i) => enter(`a${i}`, 'a'));
    void enter('nobody');
    void enter('b', 'b');
    (await crowd[0])?.();
    (await crowd[1])?.();
    await settled();
    expect(order).toEqual(['a0', 'a1', 'a2', 'a3', 'nobody', 'b']);
    expect([...intake.byTenant()]).toEqual([
      ['a', { active: 2, waiting: 4 }],
      ['', { active: 1, waiting: 0 }],
      ['b', { active: 1, waiting: 0 }],
    ]);
    intake.close();
  });

  it('keeps a quarter of the places free of a burst while jobs of several models come', async () => {
    let time = 0;
    const intake = createIntake(8, () => time);
    const order: string[] = [];
    const enter = (id: string, model: string) => come(intake, id, model).then((leave) => (order.push(id), leave));
    (await enter('c0', 'cut'))();
    const burst = Array.from({ length: 9 }, (_, i) => enter(`u${i}`, 'upscale'));
    await settled();
    expect([intake.active, intake.waiting]).toEqual([6, 3]);
    await enter('c1', 'cut');
    expect(intake.active).toBe(7);
    time = 61_000;
    (await burst[0])?.();
    await settled();
    expect(order).not.toContain('u8'); // two may come in, for nothing else has come for a minute
    expect([intake.active, intake.waiting]).toEqual([8, 1]);
  });

  it('lets in alone who must be, when those inside have left', async () => {
    const intake = createIntake(3);
    const log: string[] = [];
    const enter = (id: string, alone = false) => come(intake, id, 'm', alone).then((leave) => (log.push(id), leave));
    const first = await enter('a');
    const suspect = enter('b', true);
    const others = [enter('c'), enter('d')];
    await settled();
    expect(log).toEqual(['a']);
    first();
    const leave = await suspect;
    await settled();
    expect([intake.active, intake.alone]).toEqual([1, true]);
    leave();
    await Promise.all(others);
    expect(log).toEqual(['a', 'b', 'c', 'd']);
  });

  it('lets those who wait in before the next that must be alone, however many of these there are', async () => {
    const intake = createIntake(2);
    const log: string[] = [];
    const enter = async (id: string, alone: boolean) => {
      const leave = await come(intake, id, 'm', alone);
      log.push(id);
      await settled();
      leave();
    };
    const suspects = Array.from({ length: 100 }, (_, i) => enter(`s${i}`, true));
    const fresh = Array.from({ length: 5 }, (_, i) => enter(`f${i}`, false));
    await Promise.all([...suspects, ...fresh]);
    expect(log.slice(0, 7)).toEqual(['s0', 'f0', 'f1', 'f2', 'f3', 'f4', 's1']);
    expect(log).toHaveLength(105);
  });

  it('lets one that must be alone in, however many others keep coming', async () => {
    const intake = createIntake(2);
    const log: string[] = [];
    let suspect: Promise<() => void> | undefined;
    const enter = async (id: string) => {
      const leave = await come(intake, id);
      log.push(id);
      await settled();
      leave();
    };
    const others: Promise<void>[] = [];
    for (let i = 0; i < 50; i++) {
      others.push(enter(`f${i}`));
      if (i === 10) suspect = come(intake, 's', 'm', true).then((leave) => (log.push('s'), leave));
      await settled();
    }
    (await suspect)?.();
    await Promise.all(others);
    expect(log.indexOf('s')).toBeLessThan(14);
  });

  it('says who has met another delivery of the same job, or waited for long', async () => {
    let time = 0;
    const intake = createIntake(1, () => time);
    const leave = await come(intake, 'a');
    const [same, other] = [intake.enter({ jobId: 'a', model: 'm' }), intake.enter({ jobId: 'b', model: 'm' })];
    time = 7_000;
    leave();
    const first = await same;
    expect(first).toMatchObject({ kind: 'entered', met: true, waitedMs: 7_000 });
    if (first.kind === 'entered') first.leave();
    expect(await other).toMatchObject({ kind: 'entered', met: false });
  });

  it('lets nobody in while it is paused', async () => {
    const intake = createIntake(2);
    intake.pause(true);
    const waiting = come(intake, 'a');
    await settled();
    expect([intake.active, intake.waiting, intake.paused]).toEqual([0, 1, true]);
    intake.pause(false);
    (await waiting)();
    expect(intake.waiting).toBe(0);
  });

  it('turns away who has waited for 45 minutes, within the hour for which leases are extended', async () => {
    vi.useFakeTimers();
    const intake = createIntake(1);
    await come(intake, 'a');
    const waiting = intake.enter({ jobId: 'b', model: 'm' });
    await vi.advanceTimersByTimeAsync(2_700_000);
    vi.useRealTimers();
    expect(await waiting).toMatchObject({ kind: 'turned away' });
    expect(intake.waiting).toBe(0);
  });

  describe('with many places', () => {
    const arrive = async (intake: Intake, count: number, priority: 'batch' | 'interactive', model = 'm') => {
      const before = intake.active;
      for (let i = 0; i < count; i++) void intake.enter({ jobId: `${priority}-${model}-${i}`, model, priority });
      await settled();
      return intake.active - before;
    };

    it('keeps one for an interactive job that nobody has expected', async () => {
      const intake = createIntake(32);
      expect(await arrive(intake, 40, 'batch')).toBe(31);
      expect(await arrive(intake, 1, 'interactive')).toBe(1);
    });

    it('keeps an eighth while interactive jobs come, and lets those in before the others', async () => {
      let time = 0;
      const intake = createIntake(32, () => time);
      (await come(intake, 'first', 'm', false, 'interactive'))();
      expect(await arrive(intake, 40, 'batch')).toBe(28);
      expect(await arrive(intake, 10, 'interactive')).toBe(4);
      time = 61_000;
      intake.pause(false); // asks again
      await settled();
      expect(intake.active).toBe(32);
    });

    it('lets batch jobs in although interactive ones keep waiting', async () => {
      const intake = createIntake(16);
      const batch = intake.enter({ jobId: 'batch', model: 'm', priority: 'batch' });
      expect(await arrive(intake, 60, 'interactive')).toBe(15);
      expect((await batch).kind).toBe('entered');
    });
  });
});
