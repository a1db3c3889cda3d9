import { expect, it } from 'vitest';
import { createRests } from '../../../src/shadow/rests.js';

const MINUTE_MS = 60_000;

it('lets a version rest that has not answered, each time twice as long, up to a day', () => {
  let time = 0;
  const rests = createRests(() => time);
  expect(rests.isResting('m', '2')).toBe(false);
  for (const minutes of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440]) {
    rests.hung('m', '2');
    time += minutes * MINUTE_MS - 1;
    expect(rests.isResting('m', '2')).toBe(true);
    expect(rests.isResting('m', '3')).toBe(false);
    time += 1;
    expect(rests.isResting('m', '2')).toBe(false);
  }
});

it('forgets all when the version answers', () => {
  let time = 0;
  const rests = createRests(() => time);
  for (let i = 0; i < 5; i++) rests.hung('m', '2');
  rests.answered('m', '2');
  expect(rests.isResting('m', '2')).toBe(false);
  rests.hung('m', '2');
  time += MINUTE_MS;
  expect(rests.isResting('m', '2')).toBe(false);
});
