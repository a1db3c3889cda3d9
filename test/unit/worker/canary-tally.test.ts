import { expect, it } from 'vitest';
import { createTally } from '../../../src/worker/canary-tally.js';

it('counts what was within the window, and no more what has left it', () => {
  let time = 0;
  const tally = createTally(1_000, () => time);
  expect(tally.read()).toEqual({ operations: 0, failures: 0, slow: 0 });
  for (const ended of ['failed', 'done', 'slow'] as const) tally.add(ended);
  time = 500;
  tally.add('slow');
  expect(tally.read()).toEqual({ operations: 4, failures: 3, slow: 2 });
  time = 949; // a twentieth before
  expect(tally.read()).toEqual({ operations: 4, failures: 3, slow: 2 });
  time = 1_000;
  expect(tally.read()).toEqual({ operations: 1, failures: 1, slow: 1 });
  time = 5_000;
  expect(tally.read()).toEqual({ operations: 0, failures: 0, slow: 0 });
  tally.add('done');
  expect(tally.read()).toEqual({ operations: 1, failures: 0, slow: 0 });
});

it('counts all of a window that moves on while it counts', () => {
  let time = 0;
  const tally = createTally(1_000, () => time);
  for (; time < 10_000; time += 10) tally.add(time % 20 === 0 ? 'failed' : 'done');
  const { operations, failures } = tally.read();
  expect(operations).toBeGreaterThanOrEqual(95);
  expect(operations).toBeLessThanOrEqual(100);
  expect(Math.abs(failures - operations / 2)).toBeLessThanOrEqual(1);
});
