/**
 * Do bad jobs slow down the good ones? The models sleep instead of computing.
 *
 * poison         the same good jobs alone, and with one bad one among each hundred: unreadable, without an input, with a
 *                broken one, for a model that does not exist, or at which the model fails
 * poison.batch   one picture of each eight makes the model raise for its whole batch, with a short and with a long launch:
 *                the rate of the other seven beside their rate when the eighth is a good one
 */
import sharp from 'sharp';
import type { Completion } from '../../../src/domain/completion.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import type { Parts } from '../ground.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { picture } from './corpus.js';
import { withTraffic, withWorkers } from './ground.js';
import { type Benchmark, type Figure, figure, mean, median, round, simulated } from './result.js';

const GOOD = 800;
const EVERY = 100;

const model: StandIn = { name: 'sleeper', fixedMs: 250, eachMs: 15, plans: ['whole'], failsOnDemand: true };

const OF_EIGHT = 8;
const ROUNDS = 3;
const JOBS = 400;
const RAISING = [5, 45].map((fixedMs): StandIn => {
  return { name: `raising_${fixedMs}`, fixedMs, eachMs: 1, plans: ['whole'], red: 'raise' };
});

interface Place {
  readonly parts: Parts;
  readonly traffic: Traffic;
  readonly progress: Progress;
}

/**
 * Good jobs a second, from the first publish to the last completion of one.
 * @param isGood which completions are those of good jobs; all of them must have succeeded
 */
async function rateOf(
  { traffic, progress }: Place,
  name: string,
  jobs: readonly (JobMessage | string)[],
  isGood: (completion: Completion) => boolean,
): Promise<number> {
  const { begin, ended } = await traffic.through(jobs);
  const good = ended.filter(({ completion }) => isGood(completion));
  const failed = good.filter(({ completion }) => completion.status !== 'succeeded');
  if (failed.length > 0) throw new Error(`${name}: ${failed.length} good jobs failed`);
  const rate = good.length / (((good.at(-1)?.at ?? NaN) - begin) / 1000);
  progress.say(`${name}: ${round(rate)} good jobs/s`);
  return rate;
}

/** In turns, with and without the bad ones; medians. */
async function inBatches(place: Place): Promise<Figure[]> {
  const [good = '', red = ''] = await Promise.all(
    ['#456', '#f00'].map(async (background) => {
      const image = sharp({ create: { width: 96, height: 64, channels: 3, background } });
      return place.parts.upload(`${background.slice(1)}.png`, await image.png().toBuffer());
    }),
  );
  /** The seven of each eight, a second. */
  const run = async (name: string, model: string, eighth: string) => {
    const jobs = Array.from({ length: JOBS }, (_, i): JobMessage => {
      const isEighth = i % OF_EIGHT === 3;
      const jobId = `${name}.${isEighth ? 'eighth.' : ''}${i}`;
      return { jobId, operations: [model], input: { uri: isEighth ? eighth : good } };
    });
    return rateOf(place, name, jobs, ({ jobId }) => !jobId?.includes('.eighth.'));
  };
  const figures: Figure[] = [];
  for (const { name: model, fixedMs } of RAISING) {
    const rates: { clean: number; bad: number }[] = [];
    await withWorkers(place.parts, 1, async () => {
      await run(`${model}.warm`, model, good);
      for (let i = 0; i < ROUNDS; i++) {
        const clean = await run(`${model}.clean.${i}`, model, good);
        rates.push({ clean, bad: await run(`${model}.bad.${i}`, model, red) });
      }
    });
    const detail = {
      ...{ simulated: 'the model sleeps, and raises at once', launchMs: fixedMs },
      rates: rates.map(({ clean, bad }) => [round(clean), round(bad)]),
    };
    const ratio = median(rates.map(({ clean, bad }) => bad / clean));
    figures.push(figure(`poison.batch.${fixedMs}`, ratio, '>=', 0.8, detail));
  }
  return figures;
}

async function oneInAHundred(place: Place): Promise<Figure> {
  const { parts } = place;
  const bytes = await picture({ width: 96, height: 64 });
  const uri = await parts.upload('good.jpg', bytes);
  const broken = await parts.upload('broken.jpg', bytes.subarray(0, bytes.length / 2));
  const failing = { model: model.name, parameters: { fail: true } };
  const bad = (jobId: string): (JobMessage | string)[] => [
    `not a job: ${jobId}`,
    { jobId, operations: [model.name], input: { uri: `${uri}.missing` } },
    { jobId, operations: [model.name], input: { uri: broken } },
    { jobId, operations: ['no_such_model'], input: { uri } },
    { jobId, operations: [failing], input: { uri } },
  ];
  const run = async (name: string, poisoned: boolean) => {
    const jobs = Array.from({ length: GOOD }, (_, i) => {
      const good: JobMessage = { jobId: `${name}.${i}`, operations: [model.name], input: { uri } };
      const one = bad(`${name}.bad.${i}`)[(i / EVERY) % 5];
      return poisoned && i % EVERY === 0 && one !== undefined ? [good, one] : [good];
    });
    return rateOf(place, name, jobs.flat(), ({ jobId }) => jobId !== undefined && !jobId.includes('.bad.'));
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

export const poison: Benchmark = ({ progress, wanted }) =>
  withTraffic({ models: [model, ...RAISING], progress }, async (parts, traffic) => {
    const place = { parts, traffic, progress };
    const figures = await inBatches(place);
    if (wanted('')) figures.push(await oneInAHundred(place));
    return figures;
  });
