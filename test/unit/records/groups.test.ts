import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import type { GroupCompletion } from '../../../src/domain/group-completion.js';
import type { ObjectStore } from '../../../src/domain/ports.js';
import { countEnd, readGroup, SHARD } from '../../../src/records/groups.js';
import { memoryStore } from '../../support/memory-store.js';

const { signal } = new AbortController();
const PREFIX = 'gs://state/records';

/** A store whose nth call fails, before or after it has done its work. */
function failingAt(store: ObjectStore, n: number, after: boolean) {
  let calls = 0;
  const wrap = async <T>(call: () => Promise<T>): Promise<T> => {
    const fails = ++calls === n;
    const lost = () => new JobError('STORAGE_UNAVAILABLE', 'killed');
    if (fails && !after) throw lost();
    const result = await call();
    if (fails) throw lost();
    return result;
  };
  const wrapped: ObjectStore = {
    ...store,
    read: (...given) => wrap(() => store.read(...given)),
    create: (...given) => wrap(() => store.create(...given)),
    list: (...given) => wrap(() => store.list(...given)),
  };
  return { store: wrapped, calls: () => calls };
}

const idOf = (i: number) => `job-${i}`;
const statusOf = (i: number) => (i % 7 === 0 ? ('failed' as const) : ('succeeded' as const));

describe('a group', () => {
  const end = (store: ObjectStore, total: number, i: number, isNew = true) =>
    countEnd(store, PREFIX, { id: 'g', total }, { jobId: idOf(i), status: statusOf(i), isNew }, signal);

  it.each([1, 2, SHARD - 1, SHARD, SHARD + 1, 3 * SHARD + 17])(
    'of %i jobs is closed by the last one, once',
    async (total) => {
      const { store } = memoryStore();
      const closed: GroupCompletion[] = [];
      for (let i = 0; i < total; i++) {
        expect(closed).toEqual([]);
        const outcome = await end(store, total, i);
        if (outcome) closed.push(outcome);
      }
      const failed = Math.ceil(total / 7);
      expect(closed).toMatchObject([{ counts: { failed, succeeded: total - failed }, closedBy: idOf(total - 1) }]);
      expect(await readGroup(store, PREFIX, { id: 'g', total }, signal)).toEqual(closed[0]);
      // One more than the total has no place, and changes nothing.
      expect(await end(store, total, total)).toBeUndefined();
      expect(JSON.stringify(await end(store, total, total - 1, false))).toBe(JSON.stringify(closed[0]));
      expect(await end(store, total, 0, false)).toEqual(total === 1 ? closed[0] : undefined);
    },
  );

  it('has one outcome however many end at the same time, also twice', async () => {
    const total = 2 * SHARD + 50;
    const { store } = memoryStore();
    const twice = Array.from({ length: total }, (_, i) => [end(store, total, i), end(store, total, i, false)]);
    const outcomes = (await Promise.all(twice.flat())).filter((outcome) => outcome !== undefined);
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    const failed = Math.ceil(total / 7);
    expect(outcomes[0]?.counts).toEqual({ failed, succeeded: total - failed, expired: 0, canceled: 0 });
  });

  it.each([false, true])('has one outcome wherever a worker is killed (after the call: %s)', async (after) => {
    const total = SHARD + 2;
    const before = memoryStore();
    for (let i = 0; i < total - 2; i++) await end(before.store, total, i);
    for (let n = 1; ; n++) {
      const { store, objects } = memoryStore();
      for (const [name, object] of before.objects) objects.set(name, object);
      // The last two: killed at the nth call, delivered again, in either order.
      const published: string[] = [];
      const tell = (outcome: GroupCompletion | undefined) => outcome && published.push(JSON.stringify(outcome));
      const dying = failingAt(store, n, after);
      const first = await end(dying.store, total, total - 2).then(tell, (error: unknown) => error);
      const second = failingAt(store, n, after);
      const last = await end(second.store, total, total - 1).then(tell, (error: unknown) => error);
      for (const i of [total - 1, total - 2]) tell(await end(store, total, i, false));
      expect(new Set(published).size, `call ${n}`).toBe(1);
      if (!(first instanceof Error) && !(last instanceof Error)) break;
    }
  });

  it('counts a redrive as its job', async () => {
    const { store } = memoryStore();
    await end(store, 2, 0);
    expect(await end(store, 2, 0, false)).toBeUndefined();
    expect(await end(store, 2, 1)).toMatchObject({ counts: { failed: 1, succeeded: 1 } });
  });

  it('costs few requests for each job, however large it is', async () => {
    const total = 600;
    const { store } = memoryStore();
    const counting = failingAt(store, -1, false);
    for (let i = 0; i < total; i++) await end(counting.store, total, i);
    expect(counting.calls() / total).toBeLessThan(5);
  });
});
