/**
 * Do bad jobs slow down the good ones? The models sleep instead of computing.
 *
 * poison         the same good jobs alone, and with one bad one among each hundred: unreadable, without an input, with a
 *                broken one, for a model that does not exist, or at which the model fails
 * poison.batch   one picture of each eight makes the model raise for its whole batch, with a short and with a long launch:
 *                the rate of the other seven beside their rate when the eighth is a good one
 */
import sharp from 'sharp';
import type { JobMessage } from '../../../src/domain/job.js';
import { openParts, type Parts } from '../ground.js';
import type { Progress } from '../../dev/progress.js';
import { picture } from './corpus.js';
import type { StandIn } from './make-models.js';
import { type Figure, figure, round } from './result.js';
import { openTraffic, type Traffic, withWorkers } from './traffic.js';

const GOOD = 800;
const EVERY = 100;

const model: StandIn = {
  ...{ name: 'sleeper', batching: true, fixedMs: 250, eachMs: 15 },
  parameters: {
    'imagen.plans': '["whole"]',
    'imagen.parameters': '{"type":"object","properties":{"fail":{"type":"boolean"}}}',
  },
};

const OF_EIGHT = 8;
const ROUNDS = 3;
const JOBS = 400;
const RAISING: readonly StandIn[] = [5, 45].map((fixedMs) => ({
  ...{ name: `raising_${fixedMs}`, batching: true, fixedMs, eachMs: 1, red: 'raise' as const },
  parameters: { 'imagen.plans': '["whole"]' },
}));

/** In turns, with and without the bad ones; medians. */
async function inBatches(parts: Parts, traffic: Traffic, progress: Progress): Promise<Figure[]> {
  const [good, red] = await Promise.all(
    ['#456', '#f00'].map(async (background) => {
      const bytes = await sharp({ create: { width: 96, height: 64, channels: 3, background } })
        .png()
        .toBuffer();
      return parts.upload(`${background.slice(1)}.png`, bytes);
    }),
  );
  /** The seven of each eight, a second. */
  const run = async (name: string, model: string, eighth: string | undefined) => {
    const jobs = Array.from({ length: JOBS }, (_, i): JobMessage => {
      const isEighth = i % OF_EIGHT === 3;
      return {
        jobId: `${name}.${isEighth ? 'eighth.' : ''}${i}`,
        operations: [model],
        input: { uri: (isEighth ? eighth : good) ?? '' },
      };
    });
    const [begin, before] = [performance.now(), traffic.ended.length];
    await traffic.publish(jobs);
    await traffic.until(before + jobs.length);
    const mine = traffic.ended.slice(before).filter(({ completion }) => !completion.jobId?.includes('.eighth.'));
    const failed = mine.filter(({ completion }) => completion.status !== 'succeeded');
    if (failed.length > 0) throw new Error(`${name}: ${failed.length} good jobs failed`);
    const rate = mine.length / (((mine.at(-1)?.at ?? NaN) - begin) / 1000);
    progress.say(`${name}: ${round(rate)} good jobs/s`);
    return rate;
  };
  const figures: Figure[] = [];
  for (const { name: model, fixedMs } of RAISING) {
    const rates: { clean: number; bad: number }[] = [];
    await withWorkers(parts, 1, async () => {
      await run(`${model}.warm`, model, good);
      for (let i = 0; i < ROUNDS; i++) {
        const clean = await run(`${model}.clean.${i}`, model, good);
        rates.push({ clean, bad: await run(`${model}.bad.${i}`, model, red) });
      }
    });
    const ratios = rates.map(({ clean, bad }) => bad / clean).sort((a, b) => a - b);
    const detail = {
      simulated: 'the model sleeps, and raises at once',
      launchMs: fixedMs,
      rates: rates.map(({ clean, bad }) => [round(clean), round(bad)]),
    };
    figures.push(figure(`poison.batch.${fixedMs}`, ratios[Math.floor(ROUNDS / 2)] ?? NaN, '>=', 0.8, detail));
  }
  return figures;
}

/** @param only names of figures without the group's; all when empty */
export async function poison(progress: Progress, only: readonly string[] = []): Promise<Figure[]> {
  const parts = await openParts({ name: 'bench', models: [model, ...RAISING], progress });
  const traffic = openTraffic(parts, 'bench');
  try {
    const batches = await inBatches(parts, traffic, progress);
    if (only.length > 0) return batches;
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
    /** Good jobs a second, from the first publish to the last good completion. */
    const run = async (name: string, poisoned: boolean) => {
      const jobs = Array.from({ length: GOOD }, (_, i) => {
        const good: JobMessage = { jobId: `${name}.${i}`, operations: [model.name], input: { uri } };
        const one = bad(`${name}.bad.${i}`)[(i / EVERY) % 5];
        return poisoned && i % EVERY === 0 && one !== undefined ? [good, one] : [good];
      }).flat();
      const [begin, before] = [performance.now(), traffic.ended.length];
      await traffic.publish(jobs);
      await traffic.until(before + jobs.length);
      const mine = traffic.ended.slice(before).filter(({ completion }) => completion.status === 'succeeded');
      if (mine.length !== GOOD) throw new Error(`${name}: ${mine.length} of ${GOOD} good jobs succeeded`);
      const rate = GOOD / (((mine.at(-1)?.at ?? NaN) - begin) / 1000);
      progress.say(`${name}: ${round(rate)} good jobs/s`);
      return rate;
    };
    const [clean, poisoned] = await withWorkers(parts, 1, async () => {
      await run('warm', false);
      // Before and after, so that a machine that grows slower meanwhile does not decide.
      const first = await run('clean', false);
      const beside = await run('poisoned', true);
      return [(first + (await run('again', false))) / 2, beside];
    });
    const detail = { simulated: 'the model sleeps', clean: round(clean), poisoned: round(poisoned), good: GOOD };
    return [...batches, figure('poison', poisoned / clean, '>=', 0.95, { ...detail, bad: GOOD / EVERY })];
  } finally {
    await traffic.close();
    await parts.close();
  }
}
