/**
 * What a thumbnail waits beside a large job, and a job beside a burst for another model, against what they wait alone.
 * In `fairness.model` the models share one stand-in for a GPU, which runs one execution at a time.
 */
import type { StandIn } from '../make-models.js';
import { picture, type Sized, THUMBNAILS, uploadPictures, WEB } from './corpus.js';
import { type Ground, jobOf, type Outcome, type TimedJob, withGround } from './ground.js';
import {
  type Benchmark,
  type Figure,
  figure,
  figuresFor,
  mean,
  quantile,
  reported,
  round,
  simulated,
} from './result.js';

const FIXED_MS = 45;
const EACH_MS = 5;
/** 40 megapixels: 744 tiles of 256 × 256, some 93 batches. */
const LARGE: Sized = { width: 7303, height: 5477 };
const SMALL_ONES = 40;
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

const CASES = [
  // Every 200 ms they keep a quarter of the GPU busy, every 100 ms half of it.
  { name: 'size', run: (ground: Ground) => size(ground, 'size', 200) },
  { name: 'size.busy', run: (ground: Ground) => size(ground, 'size.busy', 100) },
  { name: 'model', run: (ground: Ground) => model(ground) },
];

export const fairness: Benchmark = (asked) =>
  withGround([any, upscale, cutOut], asked.progress, (ground) => figuresFor(CASES, asked, ({ run }) => run(ground)));

async function size(ground: Ground, load: 'size' | 'size.busy', everyMs: number): Promise<Figure> {
  const thumbnails = await uploadPictures(ground, THUMBNAILS, SMALL_ONES, load);
  const large = await ground.upload(`${load}/large.jpg`, await picture(LARGE));
  const stream = (run: string) =>
    thumbnails.map(({ uri }, i) => timed(`thumbnail.${load}.${run}.${i}`, any, uri, i * everyMs));

  await ground.freshWorker();
  await ground.run(stream('warm'));
  const alone = await ground.run(stream('alone'));
  // It is decoded before the first thumbnail comes, and not done before the last has gone.
  const both = await ground.run([timed(`large.${load}`, any, large, 0), ...later(stream('beside'), 2_000)]);
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

async function model(ground: Ground): Promise<Figure> {
  const pictures = await uploadPictures(ground, WEB, BURST, 'model');
  const cutOuts = (run: string) =>
    pictures
      .slice(0, CUT_OUTS)
      .map(({ uri }, i) => timed(`cut.${run}.${i}`, cutOut, uri, i * CUT_OUT_EVERY_MS, 'second'));
  const burst = pictures.map(({ uri }, i) => timed(`burst.${i}`, upscale, uri, 0));

  await ground.freshWorker();
  await ground.run(cutOuts('warm'));
  const alone = await ground.run(cutOuts('alone'));
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

function timed(jobId: string, { name }: StandIn, uri: string, atMs: number, queue?: 'second'): TimedJob {
  return { job: jobOf(jobId, name, uri, { output: { format: 'jpeg' } }), atMs, ...(queue ? { queue } : {}) };
}

function later(jobs: readonly TimedJob[], ms: number): TimedJob[] {
  return jobs.map((one) => ({ ...one, atMs: (one.atMs ?? 0) + ms }));
}

function waitsOf(outcome: Outcome, prefix: string) {
  const waits = outcome.waitsMs(prefix);
  return { meanMs: round(mean(waits)), p95Ms: Math.round(quantile(waits, 0.95)) };
}
