/**
 * Does a large job, or a burst for another model, keep small ones waiting? What a thumbnail waits, from publish to
 * completion, beside such a load and without it. The models sleep instead of computing; in `fairness.model` they share
 * one stand-in for a GPU, which runs one execution at a time.
 */
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import type { StandIn } from '../make-models.js';
import { picture, type Sized, THUMBNAILS, uploadPictures, WEB } from './corpus.js';
import { type Ground, type Outcome, type TimedJob, withGround } from './ground.js';
import { type Benchmark, type Figure, figure, mean, quantile, reported, round, simulated } from './result.js';

const FIXED_MS = 45;
const EACH_MS = 5;
/** 40 megapixels: 744 tiles of 256 × 256, some 93 batches. */
const LARGE: Sized = { width: 7303, height: 5477 };
/** Thumbnails while the large job is at it; every 200 ms they keep a quarter of the GPU busy, every 100 ms half of it. */
const SMALL_ONES = 40;
const THUMBNAIL_EVERY_MS = { size: 200, 'size.busy': 100 };
const BURST = 150;
const CUT_OUTS = 30;
const CUT_OUT_EVERY_MS = 200;

const any: StandIn = {
  ...{ name: 'any', fixedMs: FIXED_MS, eachMs: EACH_MS, plans: ['tile', 'whole'], tileSizes: [256], margin: 10 },
};
const upscale: StandIn = { ...any, name: 'upscale_like', gpu: true };
const cutOut: StandIn = {
  ...{ name: 'cut_out_like', gpu: true, side: 512, plans: ['fit'], fixedMs: FIXED_MS, eachMs: 4 * EACH_MS },
};

export const fairness: Benchmark = ({ progress, wanted }) =>
  withGround([any, upscale, cutOut], progress, async (ground) => {
    const figures: Figure[] = [];
    for (const load of ['size', 'size.busy'] as const) {
      if (wanted(load)) figures.push(await size(ground, progress, load));
    }
    if (wanted('model')) figures.push(await model(ground, progress));
    return figures;
  });

async function size(ground: Ground, progress: Progress, load: keyof typeof THUMBNAIL_EVERY_MS): Promise<Figure> {
  const everyMs = THUMBNAIL_EVERY_MS[load];
  const thumbnails = await uploadPictures(ground, THUMBNAILS, SMALL_ONES, load);
  const large = await ground.upload(`${load}/large.jpg`, await picture(LARGE));
  const stream = (run: string) =>
    thumbnails.map(({ uri }, i) => job(`thumbnail.${load}.${run}.${i}`, any, uri, i * everyMs));

  await ground.freshWorker();
  await ground.run(stream('warm'));
  const alone = await ground.run(stream('alone'));
  progress.say(`thumbnails alone: ${JSON.stringify(waitsOf(alone, 'thumbnail'))}`);
  // It is decoded before the first thumbnail comes, and not done before the last has gone.
  const both = await ground.run([job(`large.${load}`, any, large, 0), ...later(stream('beside'), 2_000)]);
  const detail = {
    simulated,
    everyMs,
    alone: waitsOf(alone, 'thumbnail'),
    beside: waitsOf(both, 'thumbnail'),
    largeMs: Math.round(mean(both.waitsMs('large'))),
  };
  if (detail.largeMs < 2_000 + SMALL_ONES * everyMs) throw new Error('the large job was over too soon');
  const ratio = detail.beside.meanMs / detail.alone.meanMs;
  return load === 'size'
    ? figure('fairness.size', ratio, '<=', 2, detail)
    : reported(`fairness.${load}`, ratio, detail);
}

async function model(ground: Ground, progress: Progress): Promise<Figure> {
  const pictures = await uploadPictures(ground, WEB, BURST, 'model');
  const cutOuts = (run: string) =>
    pictures
      .slice(0, CUT_OUTS)
      .map(({ uri }, i) => job(`cut.${run}.${i}`, cutOut, uri, i * CUT_OUT_EVERY_MS, 'second'));
  const burst = pictures.map(({ uri }, i) => job(`burst.${i}`, upscale, uri, 0));

  await ground.freshWorker();
  await ground.run(cutOuts('warm'));
  const alone = await ground.run(cutOuts('alone'));
  progress.say(`cut-outs alone: ${JSON.stringify(waitsOf(alone, 'cut'))}`);
  const both = await ground.run([...burst, ...later(cutOuts('beside'), 1_000)]);
  const lastOfBurst = Math.max(...both.waitsMs('burst'));
  const detail = {
    simulated: `${simulated}, one execution of all at a time`,
    alone: waitsOf(alone, 'cut'),
    beside: waitsOf(both, 'cut'),
    burstMs: Math.round(lastOfBurst),
  };
  if (lastOfBurst < 1_000 + CUT_OUTS * CUT_OUT_EVERY_MS) throw new Error('the burst was over too soon');
  return figure('fairness.model', detail.beside.meanMs / detail.alone.meanMs, '<=', 2, detail);
}

function job(jobId: string, { name }: StandIn, uri: string, atMs: number, queue?: 'second'): TimedJob {
  const message: JobMessage = { jobId, operations: [name], input: { uri }, output: { format: 'jpeg' } };
  return { job: message, atMs, ...(queue ? { queue } : {}) };
}

function later(jobs: readonly TimedJob[], ms: number): TimedJob[] {
  return jobs.map((one) => ({ ...one, atMs: (one.atMs ?? 0) + ms }));
}

function waitsOf(outcome: Outcome, prefix: string) {
  const waits = outcome.waitsMs(prefix);
  return { meanMs: round(mean(waits)), p95Ms: Math.round(quantile(waits, 0.95)) };
}
