import { describe, expect, it } from 'vitest';
import { seeded } from '../../../scripts/lab/random.js';
import type { Priority } from '../../../src/domain/job.js';
import { createBudget } from '../../../src/scheduling/budget.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

/** Of 3,200 bytes 400 are kept for small ones, of 100 at the most. */
const LIMIT = 3_200;
const COMMON = 2_800;

/** A budget with a clock of its own, and who has been served, in that order. */
function setUp() {
  let time = 0;
  const budget = createBudget(LIMIT, () => time);
  const served: string[] = [];
  const releases = new Map<string, () => void>();
  return {
    budget,
    served,
    at: (ms: number) => (time = ms),
    ask: async (name: string, bytes: number, priority: Priority = 'batch', signal = never, tenant?: string) => {
      void budget.reserve(bytes, signal, { priority, tenant }).then(
        (release) => {
          served.push(name);
          releases.set(name, release);
        },
        () => undefined,
      );
      await settled();
    },
    giveBack: async (name: string) => {
      releases.get(name)?.();
      releases.delete(name);
      await settled();
    },
  };
}

describe('createBudget', () => {
  it('lets in what fits, also past a large one that does not, for ten seconds', async () => {
    const { budget, served, at, ask, giveBack } = setUp();
    await ask('a', 2_000);
    await ask('b', 1_500);
    at(10_000);
    await ask('c', 500);
    expect(served).toEqual(['a', 'c']);
    expect(budget.held()).toBe(2_500);
    expect(budget.waiting()).toBe(1);
    at(10_001);
    await ask('d', 200); // would fit, but b has waited long enough
    expect(served).toEqual(['a', 'c']);
    await giveBack('c');
    expect(served).toEqual(['a', 'c']);
    await giveBack('a');
    expect(served).toEqual(['a', 'c', 'b', 'd']);
    for (const name of ['b', 'd']) await giveBack(name);
    expect(budget.held()).toBe(0);
  });

  it.each([
    ['all that is common', COMMON],
    ['more than there is', 10 * LIMIT],
  ])(
    'lets small ones work beside one that needs %s, however many large ones wait and for however long',
    async (_, bytes) => {
      const { budget, served, at, ask, giveBack } = setUp();
      await ask('large', bytes);
      await ask('next', bytes);
      at(600_000);
      for (const name of ['s1', 's2', 's3', 's4', 's5']) await ask(name, 100);
      expect(served).toEqual(['large', 's1', 's2', 's3', 's4']);
      expect(budget.held()).toBe(LIMIT);
      await giveBack('s2');
      expect(served.at(-1)).toBe('s5');
      await giveBack('large');
      expect(served.at(-1)).toBe('next');
    },
  );

  it('gives small ones what is common, too, unless it is kept for a large one that has waited long', async () => {
    const { budget, served, at, ask } = setUp();
    for (let i = 0; i < LIMIT / 100; i++) await ask(`s${i}`, 100);
    expect(budget.held()).toBe(LIMIT);
    await ask('large', 200);
    at(20_000);
    await ask('small', 100);
    expect(served).toHaveLength(LIMIT / 100);
  });

  it('serves interactive ones first, but not for ever', async () => {
    const { served, ask, giveBack } = setUp();
    await ask('large', COMMON);
    for (const name of ['a', 'b', 'c', 'd']) await ask(name, 100);
    await ask('batch', 100);
    for (const name of ['i1', 'i2', 'i3', 'i4', 'i5']) await ask(name, 100, 'interactive');
    for (const name of ['a', 'b', 'c', 'd', 'i1', 'i2']) await giveBack(name);
    expect(served.slice(5)).toEqual(['i1', 'i2', 'i3', 'batch', 'i4', 'i5']);
  });

  it('forgets who no longer waits, and serves whoever stood behind', async () => {
    const { budget, served, at, ask } = setUp();
    const gone = new AbortController();
    await ask('a', 2_000);
    await ask('b', 2_500, 'batch', gone.signal);
    at(11_000);
    await ask('c', 800);
    expect(served).toEqual(['a']);
    gone.abort(new Error('over'));
    await settled();
    expect(served).toEqual(['a', 'c']);
    await expect(budget.reserve(1, gone.signal, { priority: 'batch' })).rejects.toThrow('over');
    expect(budget.waiting()).toBe(0);
  });

  it('serves tenants in turn, however many pictures one of them has', async () => {
    const { served, ask, giveBack } = setUp();
    await ask('a', COMMON, 'batch', never, 'a');
    for (const name of ['a1', 'a2', 'a3']) await ask(name, COMMON, 'batch', never, 'a');
    for (const name of ['b1', 'b2']) await ask(name, COMMON, 'batch', never, 'b');
    await ask('nobody', COMMON);
    for (const name of ['a', 'b1', 'nobody', 'a1', 'b2', 'a2']) await giveBack(name);
    expect(served).toEqual(['a', 'b1', 'nobody', 'a1', 'b2', 'a2', 'a3']);
  });

  it('lets a tenant overtake what has waited ten seconds for another one, but only once', async () => {
    const { served, at, ask, giveBack } = setUp();
    await ask('a', COMMON, 'batch', never, 'a');
    for (const name of ['a1', 'a2']) await ask(name, COMMON, 'batch', never, 'a');
    at(11_000);
    for (const name of ['b1', 'b2']) await ask(name, 1_000, 'batch', never, 'b');
    await giveBack('a');
    expect(served).toEqual(['a', 'b1']);
    await giveBack('b1');
    expect(served).toEqual(['a', 'b1', 'a1']);
    at(30_000);
    await giveBack('a1');
    expect(served).toEqual(['a', 'b1', 'a1', 'b2']);
    await giveBack('b2');
    expect(served.at(-1)).toBe('a2');
  });
});

/**
 * A crowd that asks for more than there is, in virtual time; each holds what it has for HELD_MS at most. Half of the pictures
 * are small, and every tenth needs all there is.
 */
describe('in a crowd', () => {
  const HELD_MS = 1_000;

  it.each([1, 2, 3, 4, 5])(
    'nobody waits longer than those before it, of its own kind, take (seed %d)',
    async (seed) => {
      const random = seeded(seed);
      let time = 0;
      const budget = createBudget(LIMIT, () => time);
      const events: { readonly at: number; readonly run: () => void }[] = [];
      const waits: { readonly small: boolean; readonly ahead: number; readonly ms: number }[] = [];
      const queued = { small: 0, large: 0 };
      const ask = (bytes: number, priority: Priority) => {
        const kind = bytes <= 100 ? 'small' : 'large';
        const [since, ahead] = [time, queued[kind]++];
        void budget.reserve(bytes, never, { priority }).then((release) => {
          queued[kind]--;
          waits.push({ small: kind === 'small', ahead, ms: time - since });
          events.push({ at: time + random() * HELD_MS, run: release });
        });
      };
      for (let i = 0; i < 400; i++) {
        const bytes = i % 10 === 0 ? LIMIT : i % 2 === 0 ? 101 + random() * 1_500 : 1 + random() * 99;
        events.push({ at: random() * 30_000, run: () => ask(bytes, 'batch') });
      }
      while (events.length > 0) {
        const next = events.reduce((a, b) => (b.at < a.at ? b : a));
        events.splice(events.indexOf(next), 1);
        time = next.at;
        next.run();
        await settled();
        expect(budget.held()).toBeLessThanOrEqual(LIMIT);
      }
      expect(waits).toHaveLength(400);
      // Small ones: four at least are done in each HELD_MS.
      for (const { small, ahead, ms } of waits) {
        const bound = small ? (Math.floor(ahead / 4) + 1) * HELD_MS : 10_000 + (ahead + 1) * HELD_MS;
        expect(ms).toBeLessThanOrEqual(bound);
      }
      expect(Math.max(...waits.filter(({ small }) => small).map(({ ms }) => ms))).toBeLessThanOrEqual(HELD_MS);
      expect(waits.some(({ small, ms }) => !small && ms > 10_000)).toBe(true); // it was a crowd
    },
  );

  it('gives memory at once, or not at all, for who must not wait', async () => {
    const { budget, ask, giveBack } = setUp();
    const small = budget.take(50) ?? expect.fail('it is free');
    expect(budget.held()).toBe(50);
    const large = budget.take(COMMON) ?? expect.fail('it is free');
    expect(budget.take(101)).toBeUndefined();
    small();
    large();
    expect(budget.held()).toBe(0);
    await ask('a', COMMON);
    await ask('b', 2_000); // waits
    expect(budget.take(10)).toBeUndefined();
    await giveBack('a');
    await giveBack('b');
    expect(budget.held()).toBe(0);
  });
});
