import { describe, expect, it } from 'vitest';
import { createTray } from '../../../src/client/tray.js';

const never = new AbortController().signal;

describe('a tray', () => {
  it('has a place again when a value is taken', async () => {
    const tray = createTray<number>(2);
    await Promise.all([tray.enter(never), tray.enter(never)]);
    let entered = false;
    const third = tray.enter(never).then(() => (entered = true));
    tray.put(1);
    tray.put(2);
    await new Promise(setImmediate);
    expect(entered).toBe(false);
    const values = tray.take();
    expect(await values.next()).toEqual({ done: false, value: 1 });
    await third;
    tray.end();
    expect(await values.next()).toEqual({ done: false, value: 2 });
    expect(await values.next()).toEqual({ done: true, value: undefined });
  });

  it('gives a place back once, also when it was waited for', async () => {
    const tray = createTray<number>(1);
    const leave = await tray.enter(never);
    const next = tray.enter(never);
    leave();
    leave();
    const leaveToo = await next;
    const stop = new AbortController();
    const refused = tray.enter(stop.signal);
    stop.abort(new Error('stopped'));
    await expect(refused).rejects.toThrow('stopped');
    leaveToo();
    await tray.enter(never);
  });

  it('gives what is there before the error of its end', async () => {
    const tray = createTray<number>(1);
    tray.put(1);
    tray.end(new Error('over'));
    tray.end();
    const values = tray.take();
    expect((await values.next()).value).toBe(1);
    await expect(values.next()).rejects.toThrow('over');
  });
});
