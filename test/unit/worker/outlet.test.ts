import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NotPublishable } from '../../../src/domain/ports.js';
import { createOutlet } from '../../../src/worker/outlet.js';
import { memoryPublisher } from '../../support/memory-publisher.js';

const never = new AbortController().signal;
const message = (text: string) => ({ data: Buffer.from(text), attributes: {} });

describe('an outlet', () => {
  let topic: ReturnType<typeof memoryPublisher>;
  let told: (string | undefined)[];
  const accepted = () => topic.accepted.map(({ data }) => data.toString());
  const open = () => createOutlet(topic.publisher, (reason) => told.push(reason?.message));

  beforeEach(() => {
    vi.useFakeTimers();
    [topic, told] = [memoryPublisher(), []];
  });
  afterEach(() => vi.useRealTimers());

  it('publishes at once where the topic accepts', async () => {
    expect(await open().publish(message('a'), never)).toBeUndefined();
    expect([accepted(), told]).toEqual([['a'], []]);
  });

  it('holds what the topic refuses for half an hour, at a slow pace, and publishes all of it when that accepts', async () => {
    const outlet = open();
    topic.refuse(() => new Error('PERMISSION_DENIED'));
    const all = Promise.all(['a', 'b', 'c'].map((text) => outlet.publish(message(text), never)));
    await vi.advanceTimersByTimeAsync(1_800_000);
    expect(outlet.blocked?.message).toBe('PERMISSION_DENIED');
    expect(topic.attempts()).toBeLessThan(3 * 1_800);
    topic.refuse(undefined);
    await vi.advanceTimersByTimeAsync(16_000);
    expect(await all).toEqual([undefined, undefined, undefined]);
    expect(accepted().sort()).toEqual(['a', 'b', 'c']);
    expect(outlet.blocked).toBeUndefined();
    expect(told).toEqual(['PERMISSION_DENIED', undefined]);
  });

  it('has all that wait try at once when one is accepted', async () => {
    const outlet = open();
    topic.refuse(() => new Error('away'));
    const first = outlet.publish(message('a'), never);
    await vi.advanceTimersByTimeAsync(60_000);
    topic.refuse(undefined);
    await outlet.publish(message('b'), never);
    await vi.advanceTimersByTimeAsync(0);
    expect(await first).toBeUndefined();
  });

  it('gives up a message when its time is over, and says why it was not accepted', async () => {
    const stop = new AbortController();
    topic.refuse(() => new Error('away'));
    const publishing = open().publish(message('a'), stop.signal);
    await vi.advanceTimersByTimeAsync(10_000);
    stop.abort();
    expect((await publishing)?.message).toBe('away');
    const before = topic.attempts();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(topic.attempts()).toBe(before);
  });

  it('does not close for a message that is wrong in itself, which it gives up at once', async () => {
    const outlet = open();
    topic.refuse((text) => (text === 'wrong' ? new NotPublishable('wrong') : undefined));
    const publishing = outlet.publish(message('wrong'), never);
    await vi.advanceTimersByTimeAsync(100);
    expect(outlet.blocked).toBeUndefined();
    expect(await outlet.publish(message('good'), never)).toBeUndefined();
    expect(await publishing).toBeInstanceOf(NotPublishable);
    expect(told).toEqual([]);
  });

  it('is open again when the last one has given up, so that the next message finds out', async () => {
    const outlet = open();
    const stop = new AbortController();
    topic.refuse(() => new Error('away'));
    const publishing = outlet.publish(message('a'), stop.signal);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(outlet.blocked).toBeDefined();
    stop.abort();
    await publishing;
    expect(outlet.blocked).toBeUndefined();
    expect(told).toEqual(['away', undefined]);
  });
});
