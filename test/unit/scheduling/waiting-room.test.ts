import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Need } from '../../../src/domain/errors.js';
import { createWaitingRoom, type Departure, type WaitingRoom } from '../../../src/scheduling/waiting-room.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

describe('waitingRoom', () => {
  let broken: Set<string>;
  let trials: Set<string>;
  let refreshes: number;
  let starving: boolean;
  let waitingRoom: WaitingRoom;

  beforeEach(() => {
    vi.useFakeTimers();
    starving = true;
    [broken, trials, refreshes] = [new Set(['a']), new Set(), 0];
    const reasonOf = (need: Need) => (broken.has(need.name) ? { need, reason: 'down' } : undefined);
    waitingRoom = createWaitingRoom({
      room: 2,
      starving: () => starving,
      availability: {
        broken: (needs) => needs.map(reasonOf).find((one) => one !== undefined),
        mayTry: (need) => trials.has(need.name),
      },
      refresh: () => refreshes++,
    });
  });
  afterEach(() => vi.useRealTimers());

  function park(count: number, models: readonly string[] = ['a'], signal = never) {
    const left: { number: number; how: Departure }[] = [];
    for (let number = 0; number < count; number++) {
      const needs = models.map((name): Need => ({ kind: 'model', name }));
      void waitingRoom.wait({ needs }, performance.now(), signal).then((how) => left.push({ number, how }));
    }
    return left;
  }

  it('lets all go on soon after the model is back, and asks for it meanwhile', async () => {
    const left = park(2, ['b', 'a']);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(left).toEqual([]);
    expect(refreshes).toBeGreaterThanOrEqual(2);
    broken.clear();
    await vi.advanceTimersByTimeAsync(300);
    expect(left.map(({ how }) => how)).toEqual(['go on', 'go on']);
    expect(waitingRoom.parked).toBe(0);
    const before = refreshes;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(refreshes).toBe(before); // no timer is left behind
  });

  it('lets one go for a trial', async () => {
    const left = park(2);
    trials.add('a');
    await vi.advanceTimersByTimeAsync(300);
    expect(left).toEqual([{ number: 0, how: 'go on' }]);
  });

  it('lets one that others may work beside try before one that must be alone', async () => {
    const left: string[] = [];
    for (const alone of [true, false]) {
      const needs: Need[] = [{ kind: 'model', name: 'a' }];
      void waitingRoom
        .wait({ needs, alone }, performance.now(), never)
        .then(() => left.push(alone ? 'alone' : 'beside'));
    }
    trials.add('a');
    await vi.advanceTimersByTimeAsync(300);
    expect(left).toEqual(['beside']);
    await vi.advanceTimersByTimeAsync(300);
    expect(left).toEqual(['beside', 'alone']);
  });

  it('sends off the longest standing when more come than it has room for', async () => {
    const left = park(5);
    await vi.advanceTimersByTimeAsync(150);
    expect(left.map(({ number, how }) => `${number} ${how}`)).toEqual(['0 sent off', '1 sent off', '2 sent off']);
  });

  it('keeps them all as long as there is other work', async () => {
    starving = false;
    park(5);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(waitingRoom.parked).toBe(5);
  });

  it('does so ever more seldom while nothing else comes, and soon again when something does', async () => {
    const arrivals = async (seconds: number) => {
      for (let i = 0; i < seconds * 20; i++) {
        park(1);
        await vi.advanceTimersByTimeAsync(50);
      }
    };
    await arrivals(60);
    expect(waitingRoom.parked).toBeGreaterThan(50); // what comes in some seconds
    waitingRoom.passed();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(waitingRoom.parked).toBe(2);
    waitingRoom.passed();
    await arrivals(2);
    expect(waitingRoom.parked).toBeLessThan(50);
  });

  it('keeps one for a pause of its own, whatever it needs', async () => {
    broken.clear();
    const left: Departure[] = [];
    void waitingRoom.wait({ needs: [], pauseMs: 30_000 }, performance.now(), never).then((how) => left.push(how));
    await vi.advanceTimersByTimeAsync(29_000);
    expect(left).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(left).toEqual(['go on']);
  });

  it('keeps nobody longer than ten minutes, and nobody whose signal has fired', async () => {
    const controller = new AbortController();
    const [patient, hasty] = [park(1), park(1, ['a'], controller.signal)];
    controller.abort(new Error('stop'));
    await vi.advanceTimersByTimeAsync(599_000);
    expect([patient, hasty]).toEqual([[], [{ number: 0, how: 'interrupted' }]]);
    expect(waitingRoom.parked).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(patient).toEqual([{ number: 0, how: 'sent off' }]);
  });
});
