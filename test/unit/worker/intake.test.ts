import { describe, expect, it } from 'vitest';
import { GivenBack } from '../../../src/domain/errors.js';
import { createIntake } from '../../../src/worker/intake.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('createIntake', () => {
  it('lets in no more than its limit, in order', async () => {
    const intake = createIntake(2);
    const order: string[] = [];
    const enter = (id: string) => intake.enter(id).then((leave) => (order.push(id), leave));
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
    const enter = (id: string, name: string) => intake.enter(id).then((leave) => (order.push(name), leave));
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
    const inside = await intake.enter('a');
    const waiting = intake.enter('b');
    intake.close();
    await expect(waiting).rejects.toBeInstanceOf(GivenBack);
    await expect(intake.enter('c')).rejects.toBeInstanceOf(GivenBack);
    inside();
    expect(intake.active).toBe(0);
  });
});
