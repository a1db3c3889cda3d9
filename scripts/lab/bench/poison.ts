/**
 * Do bad jobs slow down the good ones? `poison`: one bad job among each hundred. `poison.batch`: one picture of each
 * eight makes the model raise for its whole batch.
 */
import sharp from 'sharp';
import type { Completion } from '../../../src/domain/completion.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Parts } from '../parts.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { picture } from './corpus.js';
import { jobOf, withTraffic, withWorkers } from './harness.js';
import { type Benchmark, type Figure, figure, figuresFor, mean, median, round, simulated } from './result.js';

const GOOD = 800;
const EVERY = 100;

const model: StandIn = { name: 'sleeper', fixedMs: 250, eachMs: 15, plans: ['whole'], failsOnDemand: true };

const OF_EIGHT = 8;
const ROUNDS = 3;
const JOBS = 400;
const RAISING = [5, 45].map((fixedMs): StandIn => {
  return { name: `raising_${fixedMs}`, fixedMs, eachMs: 1, plans: ['whole'], red: 'raise' };
});

/** @returns good jobs a second. @param isGood which completions are theirs; all of them must have succeeded */
async function rateOf(
  traffic: Traffic,
  name: string,
  jobs: readonly (JobMessage | string)[],
  isGood: (completion: Completion) => boolean,
): Promise<number> {
  const { begin, ended } = await traffic.through(jobs);
  const good = ended.filter(({ completion }) => isGood(completion));
  const failed = good.filter(({ completion }) => completion.status !== 'succeeded');
  if (failed.length > 0) throw new Error(`${name}: ${failed.length} good jobs failed`);
  return good.length / (((good.at(-1)?.at ?? NaN) - begin) / 1000);
}

/** In turns, with and without the bad ones; medians. */
async function inBatches(parts: Parts, traffic: Traffic, { name: model, fixedMs }: StandIn): Promise<Figure> {
  const [good = '', red = ''] = await Promise.all(
    ['#456', '#f00'].map(async (background) => {
      const image = sharp({ create: { width: 96, height: 64, channels: 3, background } });
      return parts.upload(`${model}/${background.slice(1)}.png`, await image.png().toBuffer());
    }),
  );
  const run = (name: string, eighth: string) => {
    const jobs = Array.from({ length: JOBS }, (_, i) => {
      const isEighth = i % OF_EIGHT === 3;
      return jobOf(`${model}.${name}.${isEighth ? 'eighth.' : ''}${i}`, model, isEighth ? eighth : good);
    });
    return rateOf(traffic, name, jobs, ({ jobId }) => !jobId?.includes('.eighth.'));
  };
  const rates: { clean: number; bad: number }[] = [];
  await withWorkers(parts, 1, async () => {
    await run('warm', good);
    for (let i = 0; i < ROUNDS; i++) {
      rates.push({ clean: await run(`clean.${i}`, good), bad: await run(`bad.${i}`, red) });
    }
  });
  const ratio = median(rates.map(({ clean, bad }) => bad / clean));
  return figure(`poison.batch.${fixedMs}`, ratio, '>=', 0.8, {
    ...{ simulated: 'the model sleeps, and raises at once', launchMs: fixedMs },
    rates: rates.map(({ clean, bad }) => [round(clean), round(bad)]),
  });
}

async function oneInAHundred(parts: Parts, traffic: Traffic): Promise<Figure> {
  const bytes = await picture({ width: 96, height: 64 });
  const uri = await parts.upload('good.jpg', bytes);
  const broken = await parts.upload('broken.jpg', bytes.subarray(0, bytes.length / 2));
  const failing = { model: model.name, parameters: { fail: true } };
  const bad = (jobId: string): (JobMessage | string)[] => [
    `not a job: ${jobId}`,
    jobOf(jobId, model.name, `${uri}.missing`),
    jobOf(jobId, model.name, broken),
    jobOf(jobId, 'no_such_model', uri),
    { jobId, operations: [failing], input: { uri } },
  ];
  const run = async (name: string, poisoned: boolean) => {
    const jobs = Array.from({ length: GOOD }, (_, i) => {
      const good = jobOf(`${name}.${i}`, model.name, uri);
      const one = bad(`${name}.bad.${i}`)[(i / EVERY) % 5];
      return poisoned && i % EVERY === 0 && one !== undefined ? [good, one] : [good];
    });
    return rateOf(traffic, name, jobs.flat(), ({ jobId }) => jobId !== undefined && !jobId.includes('.bad.'));
  };
  return withWorkers(parts, 1, async () => {
    await run('warm', false);
    // Before and after, so that a machine that grows slower meanwhile does not decide.
    const first = await run('clean', false);
    const poisoned = await run('poisoned', true);
    const clean = mean([first, await run('again', false)]);
    const detail = { simulated, clean: round(clean), poisoned: round(poisoned), good: GOOD, bad: GOOD / EVERY };
    return figure('poison', poisoned / clean, '>=', 0.95, detail);
  });
}

const CASES = [
  ...RAISING.map((raising) => ({
    name: `batch.${raising.fixedMs}`,
    run: (parts: Parts, traffic: Traffic) => inBatches(parts, traffic, raising),
  })),
  { name: '', run: oneInAHundred },
];

export const poison: Benchmark = (asked) =>
  withTraffic({ models: [model, ...RAISING], progress: asked.progress }, (parts, traffic) =>
    figuresFor(CASES, asked, ({ run }) => run(parts, traffic)),
  );
