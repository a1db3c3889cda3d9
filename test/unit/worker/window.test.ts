import { describe, expect, it } from 'vitest';
import { createWindow } from '../../../src/worker/window.js';

describe('the window of a model', () => {
  it('is as wide as the model declares until something is refused', () => {
    const window = createWindow();
    for (let i = 0; i < 100; i++) window.answered();
    expect(window.limit(16)).toBe(16);
  });

  it('is halved once for all refusals of one volley, and never closed', () => {
    let time = 10;
    const window = createWindow(() => time);
    for (let i = 0; i < 5; i++) window.refused(5, 16);
    expect(window.limit(16)).toBe(8);
    for (let volley = 0; volley < 10; volley++) window.refused((time += 10), 8);
    expect(window.limit(16)).toBe(1);
  });

  it('grows by one for every window full of answers, up to what the model declares', () => {
    const window = createWindow(() => 0);
    window.refused(0, 8);
    for (let i = 0; i < 5; i++) window.answered(); // a little more than four: the window grows meanwhile
    expect(window.limit(16)).toBe(5);
    for (let i = 0; i < 500; i++) window.answered();
    expect(window.limit(16)).toBe(16);
  });
});
