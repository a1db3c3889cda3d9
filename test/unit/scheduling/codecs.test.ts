import { lookup } from 'node:dns/promises';
import { setMaxListeners } from 'node:events';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Priority } from '../../../src/domain/job.js';
import { codecSlots, createCodecs } from '../../../src/scheduling/codecs.js';

const never = new AbortController().signal;
setMaxListeners(0, never);
const settled = () => new Promise((resolve) => setImmediate(resolve));
const SMALL = 20;
const LARGE = 60_000;

function setUp(slots: number) {
  const room = createCodecs(slots, () => 0);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    room,
    begun,
    ask: async (name: string, costMs: number, priority: Priority = 'batch', signal = never, tenant?: string) => {
      const compute = () => {
        begun.push(name);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      };
      void room
        .codecs({ priority, tenant }, signal)(costMs, compute)
        .catch(() => begun.push(`${name} given up`));
      await settled();
    },
    end: async (name: string) => {
      ends.get(name)?.();
      await settled();
    },
  };
}

describe('createCodecs', () => {
  it.each([2, 3, 8])('keeps one of %d slots free of large pictures, however many of these come', async (slots) => {
    const { room, begun, ask, end } = setUp(slots);
    for (let i = 0; i < 3 * slots; i++) await ask(`large ${i}`, LARGE);
    expect(room.running()).toBe(slots - 1);
    await ask('a', SMALL);
    await ask('b', SMALL);
    expect(begun.slice(slots - 1)).toEqual(['a']);
    await end('a');
    expect(begun.at(-1)).toBe('b');
    await end('b');
    expect(room.running()).toBe(slots - 1);
    await end('large 0');
    expect(begun.at(-1)).toBe(`large ${slots - 1}`);
    expect(room.waiting()).toBe(2 * slots);
  });

  it('gives large pictures their turn in a crowd of small ones', async () => {
    const { begun, ask, end } = setUp(2);
    await ask('a', SMALL);
    await ask('b', SMALL);
    await ask('large', LARGE);
    for (const name of ['c', 'd', 'e']) await ask(name, SMALL);
    await end('a');
    expect(begun).toEqual(['a', 'b', 'large']);
  });

  it('serves interactive pictures first, and one of the others after three of them', async () => {
    const { begun, ask, end } = setUp(2);
    await ask('large', LARGE);
    await ask('a', SMALL);
    await ask('batch', SMALL);
    for (const name of ['i1', 'i2', 'i3', 'i4']) await ask(name, SMALL, 'interactive');
    for (const name of ['a', 'i1', 'i2', 'i3', 'batch']) await end(name);
    expect(begun).toEqual(['large', 'a', 'i1', 'i2', 'i3', 'batch', 'i4']);
  });

  it('serves tenants in turn, however many pictures one of them has', async () => {
    const { begun, ask, end } = setUp(2);
    for (const name of ['a1', 'a2', 'a3', 'a4']) await ask(name, SMALL, 'batch', never, 'a');
    await ask('b1', SMALL, 'batch', never, 'b');
    for (const name of ['a1', 'a2']) await end(name);
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
  });

  it('forgets who no longer waits, and does not begin for who is gone', async () => {
    const { room, begun, ask, end } = setUp(2);
    const gone = new AbortController();
    for (const name of ['a', 'b']) await ask(name, SMALL);
    await ask('c', SMALL, 'batch', gone.signal);
    gone.abort(new Error('over'));
    await settled();
    expect(room.waiting()).toBe(0);
    await ask('d', SMALL, 'batch', gone.signal);
    for (const name of ['a', 'b']) await end(name);
    expect(begun).toEqual(['a', 'b', 'c given up', 'd given up']);
    expect(room.running()).toBe(0);
  });

  it('tries again, without its slot, what the machine had no memory for; then it is the worker that is at its end', async () => {
    const { codecs, running } = createCodecs(2, () => {
      expect(running()).toBe(0);
      return 0;
    });
    const fails = (times: number) => {
      let left = times;
      return () => (left-- > 0 ? Promise.reject(new Error('vips2avif: out of memory')) : Promise.resolve('done'));
    };
    await expect(codecs({ priority: 'batch' }, never)(SMALL, fails(3))).resolves.toBe('done');
    const error = { code: 'WORKER_OVERLOADED', verdict: 'defer' };
    await expect(codecs({ priority: 'batch' }, never)(SMALL, fails(4))).rejects.toMatchObject(error);
    await expect(
      codecs({ priority: 'batch' }, never)(SMALL, () => Promise.reject(new Error('broken'))),
    ).rejects.toThrow('broken');
    expect(running()).toBe(0);
  });
});

it('lets look-ups of names through while more pictures are encoded than the pool has threads', async () => {
  const { codecs } = createCodecs(codecSlots(4, 16));
  const pixels = await sharp({ create: { width: 1_000, height: 1_000, channels: 3, background: '#246' } })
    .raw()
    .toBuffer();
  const raw = { width: 1_000, height: 1_000, channels: 3 } as const;
  const over = new AbortController();
  const ended: string[] = [];
  const encoding = Array.from({ length: 8 }, async () => {
    await codecs({ priority: 'batch' }, over.signal)(SMALL, () => sharp(pixels, { raw }).avif().toBuffer());
    ended.push('a picture');
  });
  for (let i = 0; i < 3; i++) await settled(); // they have begun
  await lookup('localhost');
  ended.push('a look-up');
  over.abort(new Error('enough'));
  await Promise.allSettled(encoding);
  expect(ended).toEqual(['a look-up', 'a picture', 'a picture']);
}, 60_000);

it.each([
  // Threads of the pool, processors, slots.
  [4, 1, 2],
  [4, 16, 2],
  [8, 1, 2],
  [8, 2, 3],
  [8, 16, 4],
  [32, 8, 9],
  [32, 16, 16],
])('of a pool of %d threads and %d processors, %d may decode and encode', (threads, processors, slots) => {
  expect(codecSlots(threads, processors)).toBe(slots);
  expect(slots).toBeLessThanOrEqual(threads / 2);
});
