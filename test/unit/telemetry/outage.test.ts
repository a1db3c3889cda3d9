import { expect, it } from 'vitest';
import { createOutage, REMINDER_MS } from '../../../src/telemetry/outage.js';

const noted = (said: string[]) => ({
  away: (trouble: unknown, seconds: number) => said.push(`${String(trouble)} ${seconds}`),
  back: (seconds: number) => said.push(`back ${seconds}`),
});

it('says once that something is away, reminds once a minute, and says once that it is back', () => {
  const said: string[] = [];
  let now = 0;
  const outage = createOutage(noted(said), { now: () => now });
  expect(outage.well).toBe(false); // nobody has looked yet
  outage.tell(undefined);
  expect(outage.well).toBe(true);
  const during = (ms: number, trouble: unknown) => {
    for (const until = now + ms; now < until; now += 1_000) outage.tell(trouble);
  };
  during(2.5 * REMINDER_MS, 'gone');
  expect(outage.well).toBe(false);
  during(300_000, undefined);
  expect(said).toEqual(['gone 0', 'gone 60', 'gone 120', 'back 150']);
  outage.tell('gone again');
  expect(said.at(-1)).toBe('gone again 0');
});

it('says soon that something else is wrong, where it is told to', () => {
  const said: string[] = [];
  let now = 0;
  const outage = createOutage(noted(said), { changedMs: 5_000, now: () => now });
  for (; now < 20_000; now += 1_000) outage.tell(now < 2_000 ? 'loading' : 'broken');
  expect(said).toEqual(['loading 0', 'broken 5']);
});
