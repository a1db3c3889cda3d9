import { beforeEach, describe, expect, it } from 'vitest';
import { createConcurrencyLimit, type ConcurrencyLimit } from '../../../src/scheduling/concurrency-limit.js';

describe('the limit of a model', () => {
  let time: number;
  let limit: ConcurrencyLimit;
  beforeEach(() => {
    time = 1_000;
    limit = createConcurrencyLimit(() => time);
  });

  /** So many windows full of answers to what was sent now. */
  function rounds(count: number, full = true, one = limit) {
    for (let i = 0; i < count; i++) {
      const most = one.permitted(100);
      for (let j = 0; j < most; j++) one.answered(time, full);
    }
  }

  it('is as wide as the model declares until something is refused', () => {
    rounds(10);
    expect(limit.permitted(16)).toBe(16);
  });

  it('shrinks once for what was sent together, however much of it is refused, and what waited behind it', () => {
    for (let left = 16; left > 10; left--) limit.refused(900, left);
    expect(limit.permitted(16)).toBe(11);
    time = 1_100;
    limit.refused(1_100, 3); // still the same full queue: nothing has been answered since
    limit.answered(900, true);
    limit.refused(1_100, 3);
    expect(limit.permitted(16)).toBe(11);
    limit.answered(1_100, true);
    limit.refused(1_100, 11);
    expect(limit.permitted(16)).toBe(9);
  });

  it('shrinks by what was permitted, and not to the little that happened to be in flight', () => {
    limit.refused(time, 16);
    limit.answered(time, true);
    limit.refused(time, 2);
    expect(limit.permitted(16)).toBe(9);
  });

  it('is never closed', () => {
    for (let i = 0; i < 30; i++) {
      limit.refused(time, 8);
      time += 10;
      limit.answered(time, true);
    }
    expect(limit.permitted(16)).toBe(1);
  });

  it('stays for long where it is, and then finds out ever faster whether more is permitted', () => {
    limit.refused(time, 16);
    expect(limit.permitted(100)).toBe(11);
    rounds(100);
    expect(limit.permitted(100)).toBe(11);
    rounds(100);
    expect(limit.permitted(100)).toBe(13);
    rounds(200);
    expect(limit.permitted(100)).toBe(20);
    expect(limit.permitted(16)).toBe(16);
  });

  it('learns nothing from answers while less is sent than is permitted', () => {
    limit.refused(time, 16);
    rounds(1_000, false);
    expect(limit.permitted(100)).toBe(11);
  });

  it('comes to the same width for all who share a queue, whatever they begin with', () => {
    const windows = [40, 4].map((inFlight) => {
      const one = createConcurrencyLimit(() => time);
      one.refused(time, inFlight);
      return one;
    });
    const room = 20;
    for (let round = 0; round < 20_000; round++) {
      time++;
      for (const one of windows) rounds(1, true, one);
      const widths = windows.map((one) => one.permitted(100));
      if (widths.reduce((sum, width) => sum + width, 0) <= room) continue;
      windows.forEach((one, i) => one.refused(time, widths[i] ?? 0));
    }
    const [first = 0, second = 0] = windows.map((one) => one.permitted(100));
    expect(Math.abs(first - second)).toBeLessThanOrEqual(1);
  });

  it('asks for a pause only where no answer is on its way, and a longer one the longer nothing is answered', () => {
    limit.refused(time, 8);
    expect(limit.restUntil(1)).toBe(-Infinity);
    expect(limit.restUntil(0)).toBeGreaterThanOrEqual(time);
    expect(limit.restUntil(0)).toBeLessThan(time + 25);
    let longest = 0;
    for (let i = 0; i < 50; i++) {
      time += 1_000;
      limit.refused(time, 1);
      longest = Math.max(longest, limit.restUntil(0) - time);
    }
    expect(longest).toBeGreaterThan(200);
    expect(longest).toBeLessThan(1_000);
  });
});
