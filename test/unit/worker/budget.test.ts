import { describe, expect, it } from 'vitest';
import { createBudget } from '../../../src/worker/budget.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

describe('createBudget', () => {
  it('never gives more than there is, and lets who needs less overtake who waits, for a time', async () => {
    let time = 0;
    const budget = createBudget(100, () => time);
    const order: string[] = [];
    const take = (name: string, bytes: number) =>
      budget.reserve(bytes, never).then((release) => {
        order.push(name);
        return release;
      });
    const a = take('a', 60);
    const b = take('b', 50);
    const c = take('c', 10);
    await settled();
    expect(order).toEqual(['a', 'c']);
    expect(budget.held()).toBe(70);
    time = 11_000;
    const d = take('d', 10); // would fit, but b has waited long enough
    await settled();
    expect(order).toEqual(['a', 'c']);
    (await a)();
    await settled();
    expect(order).toEqual(['a', 'c', 'b', 'd']);
    for (const one of [b, c, d]) (await one)();
    expect(budget.held()).toBe(0);
  });

  it('lets in alone what needs more than there is', async () => {
    const budget = createBudget(100);
    const first = await budget.reserve(1, never);
    const large = budget.reserve(1_000, never);
    await settled();
    expect(budget.held()).toBe(1);
    first();
    const release = await large;
    expect(budget.held()).toBe(100);
    release();
    expect(budget.held()).toBe(0);
  });

  it('forgets who no longer waits, and serves whoever stood behind', async () => {
    const budget = createBudget(100);
    const first = await budget.reserve(60, never);
    const gone = new AbortController();
    const large = budget.reserve(90, gone.signal);
    const small = budget.reserve(40, never);
    gone.abort(new Error('over'));
    await expect(large).rejects.toThrow('over');
    await small;
    expect(budget.held()).toBe(100);
    first();
    await expect(budget.reserve(1, gone.signal)).rejects.toThrow('over');
  });
});
