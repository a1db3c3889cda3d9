import { describe, expect, it } from 'vitest';
import { GivenBack } from '../../../src/domain/errors.js';
import { createIntake } from '../../../src/worker/intake.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('createIntake', () => {
  it('lets in no more than its limit, in order', async () => {
    const intake = createIntake(2);
    const order: string[] = [];
    const enter = (id: string) => intake.enter(id, 'm').then((leave) => (order.push(id), leave));
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
    const enter = (id: string, name: string) => intake.enter(id, 'm').then((leave) => (order.push(name), leave));
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
    const inside = await intake.enter('a', 'm');
    const waiting = intake.enter('b', 'm');
    intake.close();
    await expect(waiting).rejects.toBeInstanceOf(GivenBack);
    await expect(intake.enter('c', 'm')).rejects.toBeInstanceOf(GivenBack);
    inside();
    expect(intake.active).toBe(0);
  });

  it('gives the next place to the model that holds the fewest', async () => {
    const intake = createIntake(4);
    const order: string[] = [];
    const enter = (id: string, model: string) => intake.enter(id, model).then((leave) => (order.push(id), leave));
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

  it('keeps a quarter of the places free of a burst while jobs of several models come', async () => {
    let time = 0;
    const intake = createIntake(8, () => time);
    const order: string[] = [];
    const enter = (id: string, model: string) => intake.enter(id, model).then((leave) => (order.push(id), leave));
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

  it('lets in alone who must be, before all others, when those inside have left', async () => {
    const intake = createIntake(3);
    const log: string[] = [];
    const enter = (id: string, alone = false) =>
      intake.enter(id, 'm', alone).then((leave) => {
        log.push(id);
        return leave;
      });
    const first = await enter('a');
    const suspect = enter('b', true);
    const second = enter('c', true);
    const others = [enter('d'), enter('e')];
    await Promise.resolve();
    expect(log).toEqual(['a']);
    first();
    (await suspect)();
    const leave = await second;
    expect(log).toEqual(['a', 'b', 'c']);
    expect(intake.active).toBe(1);
    leave();
    await Promise.all(others);
    expect(intake.active).toBe(2);
  });
});
