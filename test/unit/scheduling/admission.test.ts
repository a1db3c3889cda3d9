import { describe, expect, it } from 'vitest';
import * as admission from '../../../src/scheduling/admission.js';
import type { Entrant, Occupancy } from '../../../src/scheduling/admission.js';
import { WaitingJobs } from '../../../src/scheduling/waiting-jobs.js';

let arrivals = 0;
const job = (more: Partial<Entrant> = {}): Entrant => ({
  ...{ jobId: `job${++arrivals}`, model: 'upscale', priority: 'batch', alone: false, number: arrivals },
  ...more,
});
const jobs = (count: number, more: Partial<Entrant> = {}) => Array.from({ length: count }, () => job(more));
const occupancy = (more: Partial<Occupancy> = {}): Occupancy => ({
  ...{ places: 8, inside: [], models: 1, interactive: false, before: 0 },
  ...more,
});

function nextToEnter(waiting: readonly Entrant[], occupied: Occupancy): Entrant | undefined {
  const all = new WaitingJobs<Entrant>();
  for (const one of waiting) all.add(one);
  return admission.nextToEnter(all, occupied);
}

describe('the next job to enter', () => {
  it('is the one that has waited longest', () => {
    const waiting = jobs(3);
    expect(nextToEnter(waiting, occupancy())).toBe(waiting[0]);
  });

  it('is none while all places are taken', () => {
    expect(nextToEnter(jobs(1), occupancy({ inside: jobs(8) }))).toBeUndefined();
  });

  it('is of the model that holds the fewest places', () => {
    const [of, other] = [job(), job({ model: 'enhance' })];
    expect(nextToEnter([of, other], occupancy({ inside: jobs(2), models: 2 }))).toBe(other);
  });

  it('leaves a quarter of the places for other models while they are in demand', () => {
    const inside = jobs(6);
    expect(nextToEnter(jobs(1), occupancy({ inside, models: 2 }))).toBeUndefined();
    expect(nextToEnter(jobs(1), occupancy({ inside, models: 1 }))).toBeDefined();
  });

  it('is interactive before batch, and has places of its own where there are many', () => {
    const [batch, interactive] = [job(), job({ priority: 'interactive' })];
    expect(nextToEnter([batch, interactive], occupancy())).toBe(interactive);
    const full = occupancy({ places: 16, inside: jobs(14), interactive: true });
    expect(nextToEnter([batch], full)).toBeUndefined();
    expect(nextToEnter([batch, interactive], full)).toBe(interactive);
  });

  it('is no second delivery of a job that is inside', () => {
    const inside = job();
    expect(nextToEnter([job({ jobId: inside.jobId })], occupancy({ inside: [inside] }))).toBeUndefined();
  });

  it('runs alone only when nobody is inside, and then nobody else enters', () => {
    const loner = job({ alone: true });
    expect(nextToEnter([loner], occupancy({ inside: jobs(1) }))).toBeUndefined();
    expect(nextToEnter([loner], occupancy())).toBe(loner);
    expect(nextToEnter(jobs(1), occupancy({ inside: [loner] }))).toBeUndefined();
  });

  it('is one that came before the last loner left, and then the next loner', () => {
    const [loner, early] = [job({ alone: true }), job()];
    const late = job();
    const before = early.number;
    expect(nextToEnter([loner, early, late], occupancy({ before }))).toBe(early);
    expect(nextToEnter([loner, late], occupancy({ before }))).toBe(loner);
  });
});
