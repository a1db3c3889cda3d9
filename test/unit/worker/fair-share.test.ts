import { describe, expect, it } from 'vitest';
import { createFairShare } from '../../../src/worker/fair-share.js';

/** A task that runs until it is told to end. */
function task(log: string[], name: string) {
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (end = resolve));
  return { run: () => (log.push(name), done), end: () => end() };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

describe('createFairShare', () => {
  it('gives jobs their turns one request at a time', async () => {
    const share = createFairShare(() => ({ inFlight: 1, batch: 1 }));
    const log: string[] = [];
    const large = share.lane({});
    const small = share.lane({});
    const tasks = ['L1', 'L2', 'L3'].map((name) => task(log, name));
    const running = tasks.map(({ run }) => large('m', 's', run, never));
    const thumbnail = task(log, 'S1');
    running.push(small('m', 's', thumbnail.run, never));
    for (const { end } of [...tasks.slice(0, 2), thumbnail, ...tasks.slice(2)]) {
      await settled();
      end();
    }
    await settled();
    thumbnail.end();
    await Promise.all(running);
    expect(log).toEqual(['L1', 'L2', 'S1', 'L3']);
  });

  it('keeps to the limit of each model and lets models go their own ways', async () => {
    const share = createFairShare((model) => ({ inFlight: model === 'slow' ? 1 : 2, batch: 1 }));
    const log: string[] = [];
    const lane = share.lane({});
    const tasks = ['s1', 's2', 'q1', 'q2', 'q3'].map((name) => task(log, name));
    const running = tasks.map(({ run }, i) => lane(i < 2 ? 'slow' : 'quick', 's', run, never));
    await settled();
    expect(log).toEqual(['s1', 'q1', 'q2']);
    expect(Object.fromEntries(share.inFlight())).toEqual({ slow: 1, quick: 2 });
    tasks.forEach(({ end }) => end());
    await settled();
    await settled();
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(Object.fromEntries(share.inFlight())).toEqual({ slow: 0, quick: 0 });
  });

  it('forgets a task whose job is over before its turn, and frees the place of one that failed', async () => {
    const share = createFairShare(() => ({ inFlight: 1, batch: 1 }));
    const log: string[] = [];
    const first = task(log, 'first');
    const running = share.lane({})('m', 's', first.run, never);
    const gone = new AbortController();
    const waiting = share.lane({})('m', 's', task(log, 'gone').run, gone.signal);
    const failing = share.lane({})('m', 's', () => Promise.reject(new Error('broken')), never);
    gone.abort(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    first.end();
    await running;
    await expect(failing).rejects.toThrow('broken');
    expect(log).toEqual(['first']);
    expect(share.inFlight().get('m')).toBe(0);
  });

  it('sends equal shapes in runs that fill a batch, and then gives the others their turn', async () => {
    const share = createFairShare(() => ({ inFlight: limit, batch: 3 }));
    let limit = 0;
    const log: string[] = [];
    const running = ['a', 'b', 'a', 'b', 'a', 'b', 'a'].map((shape) =>
      share.lane({})('m', shape, () => Promise.resolve(log.push(shape)), never),
    );
    limit = 100;
    running.push(share.lane({})('m', 'b', () => Promise.resolve(log.push('b')), never));
    await Promise.all(running);
    expect(log.join('')).toBe('aaabbbab');
    expect(share.inFlight().get('m')).toBe(0);
  });
});
