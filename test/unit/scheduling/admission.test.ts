import { describe, expect, it } from 'vitest';
import * as admission from '../../../src/scheduling/admission.js';
import type { Occupancy } from '../../../src/scheduling/admission.js';
import { type Entrant, WaitingJobs } from '../../../src/scheduling/waiting-jobs.js';
import { TenantTurns } from '../../../src/scheduling/tenant-turns.js';

let arrivals = 0;
const job = (more: Partial<Entrant> = {}): Entrant => ({
  ...{ jobId: `job${++arrivals}`, model: 'upscale', priority: 'batch', alone: false, number: arrivals },
  ...more,
});
const jobs = (count: number, more: Partial<Entrant> = {}) => Array.from({ length: count }, () => job(more));
const occupancy = (more: Partial<Occupancy> = {}): Occupancy => ({
  ...{ places: 8, inside: [], models: 1, interactive: false, before: 0 },
  ...{ tenants: 0, turns: new TenantTurns() },
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

  it('is of the tenant that holds the fewest places, whatever its model', () => {
    const inside = [...jobs(3, { tenant: 'a' }), job({ model: 'enhance' })];
    const [ofA, ofB] = [job({ tenant: 'a' }), job({ tenant: 'b', model: 'enhance' })];
    expect(nextToEnter([ofA, ofB], occupancy({ inside, tenants: 2 }))).toBe(ofB);
  });

  it('is of the tenant that entered longest ago, of several that hold as many places', () => {
    const turns = new TenantTurns();
    const [ofA, ofB] = [job({ tenant: 'a' }), job({ tenant: 'b' })];
    turns.served(ofA);
    expect(nextToEnter([ofA, ofB], occupancy({ tenants: 2, turns }))).toBe(ofB);
    turns.served(ofB);
    expect(nextToEnter([ofA, ofB], occupancy({ tenants: 2, turns }))).toBe(ofA);
    const loners = [ofB, ofA].map((one) => ({ ...one, alone: true }));
    expect(nextToEnter(loners, occupancy({ tenants: 2, turns }))).toBe(loners[1]);
  });

  it('leaves a quarter of the places for other tenants while they are in demand, also if it is interactive', () => {
    const inside = jobs(6, { tenant: 'a' });
    for (const priority of ['batch', 'interactive'] as const) {
      const waiting = [job({ tenant: 'a', priority })];
      expect(nextToEnter(waiting, occupancy({ inside, tenants: 2 }))).toBeUndefined();
      expect(nextToEnter(waiting, occupancy({ inside, tenants: 1 }))).toBe(waiting[0]);
    }
  });

  it('leaves one of many places for another tenant, beside that for interactive jobs', () => {
    const full = occupancy({ places: 16, inside: jobs(14, { tenant: 'a' }), tenants: 1 });
    const [ofA, ofB] = [job({ tenant: 'a' }), job({ tenant: 'b' })];
    expect(nextToEnter([ofA], full)).toBeUndefined();
    expect(nextToEnter([ofA, ofB], { ...full, tenants: 2 })).toBe(ofB);
    expect(nextToEnter([ofA], { ...full, tenants: 0 })).toBe(ofA);
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
