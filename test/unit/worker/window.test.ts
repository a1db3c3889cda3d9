import { beforeEach, describe, expect, it } from 'vitest';
import { createWindow, type Window } from '../../../src/worker/window.js';

describe('the window of a model', () => {
  let time: number;
  let window: Window;
  beforeEach(() => {
    time = 1_000;
    window = createWindow(() => time);
  });

  /** So many windows full of answers to what was sent now. */
  function rounds(count: number, full = true, of = window) {
    for (let i = 0; i < count; i++) {
      const permitted = of.limit(100);
      for (let j = 0; j < permitted; j++) of.answered(time, full);
    }
  }

  it('is as wide as the model declares until something is refused', () => {
    rounds(10);
    expect(window.limit(16)).toBe(16);
  });

  it('shrinks once for what was sent together, however much of it is refused, and what waited behind it', () => {
    for (let left = 16; left > 10; left--) window.refused(900, left);
    expect(window.limit(16)).toBe(11);
    time = 1_100;
    window.refused(1_100, 3); // still the same full queue: nothing has been answered since
    window.answered(900, true);
    window.refused(1_100, 3);
    expect(window.limit(16)).toBe(11);
    window.answered(1_100, true);
    window.refused(1_100, 11);
    expect(window.limit(16)).toBe(9);
  });

  it('shrinks by what was permitted, and not to the little that happened to be in flight', () => {
    window.refused(time, 16);
    window.answered(time, true);
    window.refused(time, 2);
    expect(window.limit(16)).toBe(9);
  });

  it('is never closed', () => {
    for (let i = 0; i < 30; i++) {
      window.refused(time, 8);
      time += 10;
      window.answered(time, true);
    }
    expect(window.limit(16)).toBe(1);
  });

  it('stays for long where it is, and then finds out ever faster whether more is permitted', () => {
    window.refused(time, 16);
    expect(window.limit(100)).toBe(11);
    rounds(100);
    expect(window.limit(100)).toBe(11);
    rounds(100);
    expect(window.limit(100)).toBe(13);
    rounds(200);
    expect(window.limit(100)).toBe(20);
    expect(window.limit(16)).toBe(16);
  });

  it('learns nothing from answers while less is sent than is permitted', () => {
    window.refused(time, 16);
    rounds(1_000, false);
    expect(window.limit(100)).toBe(11);
  });

  it('comes to the same width for all who share a queue, whatever they begin with', () => {
    const windows = [40, 4].map((inFlight) => {
      const one = createWindow(() => time);
      one.refused(time, inFlight);
      return one;
    });
    const room = 20;
    for (let round = 0; round < 20_000; round++) {
      time++;
      for (const one of windows) rounds(1, true, one);
      const widths = windows.map((one) => one.limit(100));
      if (widths.reduce((sum, width) => sum + width, 0) <= room) continue;
      windows.forEach((one, i) => one.refused(time, widths[i] ?? 0));
    }
    const [first = 0, second = 0] = windows.map((one) => one.limit(100));
    expect(Math.abs(first - second)).toBeLessThanOrEqual(1);
  });

  it('asks for a pause only where no answer is on its way, and a longer one the longer nothing is answered', () => {
    window.refused(time, 8);
    expect(window.restUntil(1)).toBe(-Infinity);
    expect(window.restUntil(0)).toBeGreaterThanOrEqual(time);
    expect(window.restUntil(0)).toBeLessThan(time + 25);
    let longest = 0;
    for (let i = 0; i < 50; i++) {
      time += 1_000;
      window.refused(time, 1);
      longest = Math.max(longest, window.restUntil(0) - time);
    }
    expect(longest).toBeGreaterThan(200);
    expect(longest).toBeLessThan(1_000);
  });
});
