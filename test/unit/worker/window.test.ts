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
  function rounds(count: number) {
    for (let i = 0; i < count; i++) {
      const full = window.limit(100);
      for (let j = 0; j < full; j++) window.answered(time);
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
    window.answered(900);
    window.refused(1_100, 3);
    expect(window.limit(16)).toBe(11);
    window.answered(1_100);
    window.refused(1_100, 11);
    expect(window.limit(16)).toBe(7);
  });

  it('is never closed', () => {
    for (let i = 0; i < 30; i++) {
      window.refused(time, 8);
      time += 10;
      window.answered(time);
    }
    expect(window.limit(16)).toBe(1);
  });

  it('soon comes back close to what it was, stays there, and then finds out whether more is permitted', () => {
    window.refused(time, 16);
    const widths = [11, 14, 15, 16, 20];
    expect(window.limit(100)).toBe(widths[0]);
    rounds(8);
    expect(window.limit(100)).toBe(widths[1]);
    rounds(6);
    expect(window.limit(100)).toBe(widths[2]);
    rounds(8);
    expect(window.limit(100)).toBe(widths[3]);
    rounds(20);
    expect(window.limit(100)).toBeGreaterThanOrEqual(widths[4] ?? NaN);
    expect(window.limit(16)).toBe(16);
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
