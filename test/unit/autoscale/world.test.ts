import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ARRIVALS, arrivalsOf, HOURS } from '../../../scripts/lab/autoscale/arrivals.js';
import { Delayed } from '../../../scripts/lab/autoscale/delayed.js';
import { Gpu } from '../../../scripts/lab/autoscale/gpu.js';
import { PLANT, type Plant } from '../../../scripts/lab/autoscale/plant.js';
import { type Pod, Pods } from '../../../scripts/lab/autoscale/pods.js';
import { SAMPLE, policiesFor, SHIPPED, shipped } from '../../../scripts/lab/autoscale/policies.js';
import { targetsOf } from '../../../scripts/lab/autoscale/report.js';
import { simulate } from '../../../scripts/lab/autoscale/world.js';

const machine = { podSeconds: 20, nodeSeconds: 100, podsPerNode: 2, pricePerHour: 0.5 };
const pods = () => new Pods<Pod>(machine, (readyAt) => ({ readyAt }));

describe('the simulated cluster', () => {
  it('waits for a node only where none has room', () => {
    const deployment = pods();
    deployment.begin(1);
    deployment.scale(0, 3);
    expect(deployment.active.map(({ readyAt }) => readyAt)).toEqual([0, 20, 120]);
  });

  it('ends pods that are not ready first, then the youngest', () => {
    const deployment = pods();
    deployment.begin(2);
    deployment.scale(0, 4);
    deployment.scale(30, 3);
    expect(deployment.active.map(({ readyAt }) => readyAt)).toEqual([0, 0, 120]);
    deployment.scale(30, 1);
    expect(deployment.active.map(({ readyAt }) => readyAt)).toEqual([0]);
  });

  it('pays for a node until it was unneeded for ten minutes', () => {
    const deployment = pods();
    deployment.begin(4);
    deployment.scale(0, 1);
    deployment.draining.clear();
    for (let now = 1; now <= 3600; now++) deployment.pass(now, 1);
    expect(deployment.cost).toBeCloseTo(0.5 * (1 + 601 / 3600), 3);
  });

  it('shares a GPU evenly, whatever the jobs are', () => {
    const gpu = new Gpu<{ name: string; size: number; aborted: boolean }>();
    const done: [string, number][] = [];
    const job = (name: string, size: number) => ({ name, size, aborted: false });
    const gone = job('gone', 5);
    for (const work of [job('long', 3), job('short', 1), gone]) gpu.add(work);
    gpu.run(
      1.5,
      () => 1,
      () => done.push(['too early', 0]),
    );
    gpu.abort(gone);
    gpu.run(
      10,
      () => 1,
      ({ name }, before) => done.push([name, 10 - before]),
    );
    // A third each for 1.5 s, then a half each.
    expect(done).toEqual([
      ['short', 1],
      ['long', 3],
    ]);
    expect(gpu.jobs).toBe(0);
  });

  it('serves jobs in their order where it has places for a few', () => {
    const gpu = new Gpu<{ name: string; size: number; aborted: boolean }>();
    const done: [string, number][] = [];
    const jobs = ['first', 'second', 'gone', 'third'].map((name) => ({ name, size: 1, aborted: false }));
    for (const job of jobs) gpu.add(job);
    const run = (seconds: number) =>
      gpu.run(
        seconds,
        (served) => served / 10,
        ({ name }, before) => done.push([name, seconds - before]),
        2,
      );
    run(5);
    if (jobs[2]) gpu.abort(jobs[2]);
    expect(gpu.jobs).toBe(3);
    run(20);
    expect(done.map(([name, at]) => [name, Math.round(at)])).toEqual([
      ['first', 5],
      ['second', 5],
      ['third', 15],
    ]);
    expect(gpu.jobs).toBe(0);
  });

  it('shows samples late, and the newest that can be seen', () => {
    const metrics = new Delayed({ everySeconds: 60, delaySeconds: [120, 180] }, () => 0.5);
    for (let now = 0; now <= 300; now++) metrics.look(now, () => new Map([['backlog', now]]));
    expect([100, 150, 209, 210, 300].map((now) => metrics.read(now, 'backlog'))).toEqual([undefined, 0, 0, 60, 120]);
  });
});

const plant: Plant = { ...PLANT, topology: 'shared' };
const policy = (name: string) => {
  const found = policiesFor('shared').find((one) => one.name === name);
  if (!found) throw new Error(name);
  return found.scaling;
};

describe('a simulated day', () => {
  it.each(ARRIVALS)('has as many jobs as its loads say: %s', (shape) => {
    const means = { calm: 0.4, step: (4 * 2.5 + 4 * 0.2) / 8, bursts: 0.1 + 5 / 8, restless: 1.05, diurnal: 1.3 };
    const counts = [1, 2, 3, 4, 5, 6].map((seed) => arrivalsOf(shape, 0.3, seed).length);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    expect(mean / (means[shape] * 0.3 * HOURS[shape] * 3600)).toBeGreaterThan(shape === 'restless' ? 0.7 : 0.97);
    expect(mean / (means[shape] * 0.3 * HOURS[shape] * 3600)).toBeLessThan(shape === 'restless' ? 1.3 : 1.03);
  });

  it('finishes every job, and is the same every time', () => {
    const arrivals = arrivalsOf('calm', plant.gpuJobsPerSecond, 1);
    const [one, two] = [1, 1].map((seed) => simulate(plant, policy(SHIPPED), arrivals, HOURS.calm * 3600, seed));
    expect(one?.waited.length).toBe(arrivals.length);
    expect(one).toEqual(two);
  });

  it('costs less than the sample, and no job is killed', () => {
    const arrivals = arrivalsOf('step', plant.gpuJobsPerSecond, 1);
    const run = (name: string) => simulate(plant, policy(name), arrivals, HOURS.step * 3600, 1);
    const [ours, theirs] = [run(SHIPPED), run(SAMPLE)];
    expect(ours.cost / theirs.cost).toBeLessThan(0.8);
    expect(ours.killed).toBe(0);
  });

  it('gives back what a drain has no time for', () => {
    const arrivals = arrivalsOf('bursts', plant.gpuJobsPerSecond, 1);
    const hasty: Plant = { ...plant, topology: 'one', drainSeconds: 5 };
    const outcome = simulate(hasty, policy('backlog 40'), arrivals, HOURS.bursts * 3600, 1);
    expect(outcome.killed).toBeGreaterThan(0);
    expect(outcome.waited.length).toBe(arrivals.length);
  });
});

describe('what is shipped', () => {
  it('is what the report found best', () => {
    const report = readFileSync('docs/autoscaling/report.md', 'utf8');
    expect(report).toContain(`the cheapest that keeps the limits: **${SHIPPED}**.`);
    for (const line of targetsOf(shipped('shared'))) expect(report).toContain(`- ${line}\n`);
  });

  it.each(['one', 'shared', 'sidecar'] as const)('is read from the manifests: %s', (topology) => {
    const { workers, gpus } = shipped(topology);
    for (const { minReplicas, maxReplicas, metrics } of [workers, gpus]) {
      expect(minReplicas).toBe(1);
      expect(maxReplicas).toBeGreaterThan(1);
      expect(metrics.length).toBeGreaterThan(1);
    }
  });
});
