import { describe, expect, it } from 'vitest';
import { fillGroup } from '../../../src/pipeline/padded-group.js';
import type { Size } from '../../../src/domain/raster.js';

const size = (width: number, height: number): Size => ({ width, height });
const LIMITS = { requests: 8, pixels: 1_000_000 };
const cost = (fixed: number) => ({ fixed, perPixel: 1 });
const time = (pictures: readonly Size[], window: Size, fixed: number) =>
  fixed + pictures.length * window.width * window.height;

/** Every subset that holds the leader, in its smallest window. */
function cheapest(leader: Size, others: readonly Size[], fixed: number): number {
  let best = 0;
  for (let subset = 0; subset < 2 ** others.length; subset++) {
    const members = [leader, ...others.filter((_, i) => subset & (2 ** i))];
    const window = size(Math.max(...members.map((m) => m.width)), Math.max(...members.map((m) => m.height)));
    const apart = members.reduce((sum, member) => sum + time([member], member, fixed), 0);
    best = Math.max(best, apart - time(members, window, fixed));
  }
  return best;
}

describe('fillGroup', () => {
  let state = 7;
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;

  it.each([500, 5_000, 50_000])('saves as much as the best of all subsets, where a launch costs %i pixels', (fixed) => {
    for (let round = 0; round < 30; round++) {
      const [leader, ...others] = Array.from({ length: 8 }, () => size(50 + random(100), 50 + random(100)));
      if (!leader) throw new TypeError('no leader');
      const { window, members } = fillGroup(leader, others, cost(fixed), LIMITS);
      const apart = members.reduce((sum, member) => sum + time([member], member, fixed), 0);
      expect(apart - time(members, window, fixed)).toBeCloseTo(cheapest(leader, others, fixed), 6);
      for (const { width, height } of members) {
        expect(width).toBeLessThanOrEqual(window.width);
        expect(height).toBeLessThanOrEqual(window.height);
      }
      expect(members[0]).toBe(leader);
    }
  });

  it('leaves a picture alone when nobody is near enough', () => {
    const leader = size(100, 100);
    expect(fillGroup(leader, [size(100, 300), size(500, 20)], cost(1_000), LIMITS)).toEqual({
      window: leader,
      members: [leader],
    });
  });

  it('brings equal pictures together even where a launch costs nothing', () => {
    const others = [size(100, 100), size(101, 100), size(100, 100)];
    expect(fillGroup(size(100, 100), others, cost(0), LIMITS)).toEqual({
      window: size(100, 100),
      members: [size(100, 100), size(100, 100), size(100, 100)],
    });
  });

  it('keeps to the batch and to the pixels', () => {
    const others = Array.from({ length: 20 }, () => size(100, 100));
    const dear = cost(1e9);
    expect(fillGroup(size(100, 100), others, dear, LIMITS).members).toHaveLength(8);
    expect(fillGroup(size(100, 100), others, dear, { requests: 8, pixels: 35_000 }).members).toHaveLength(3);
    expect(fillGroup(size(100, 100), others, dear, { requests: 8, pixels: 9_000 }).members).toHaveLength(1);
    expect(fillGroup(size(100, 100), others, dear, { requests: 1, pixels: 1e9 }).members).toHaveLength(1);
    // A window that only one could fill within the limit is no reason to leave the others out.
    const large = size(900, 900);
    expect(fillGroup(size(100, 100), [large, ...others], dear, LIMITS).window).toEqual(size(100, 100));
  });
});
