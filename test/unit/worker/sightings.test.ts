import { describe, expect, it } from 'vitest';
import { createSightings } from '../../../src/worker/sightings.js';

describe('sightings of what is away', () => {
  it('go on while they are close together and it is not used in between', () => {
    let time = 0;
    const sightings = createSightings(() => time);
    const seenAt = (at: number, usedAt?: number) => {
      time = at;
      return sightings.away('model up', usedAt);
    };
    expect([seenAt(1_000), seenAt(61_000), seenAt(121_000)]).toEqual([1_000, 1_000, 1_000]);
    expect(sightings.away('model other')).toBe(121_000);
    expect(seenAt(150_000, 140_000)).toBe(150_000); // used in between
    expect(seenAt(160_000, 140_000)).toBe(150_000);
    expect(seenAt(220_001)).toBe(220_001); // nobody has looked for more than a minute
  });

  it('forget what was seen long ago, when there are many', () => {
    let time = 0;
    const sightings = createSightings(() => ++time);
    sightings.away('first');
    for (let i = 0; i < 1_000; i++) sightings.away(`object ${i}`);
    expect(sightings.away('first')).toBeGreaterThan(1_000);
  });
});
