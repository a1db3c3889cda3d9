/**
 * What a thumbnail waits beside a large job, and a job beside a burst for another model, against what they wait alone.
 * In `fairness.model` the models share one stand-in for a GPU, which runs one execution at a time.
 */
import type { StandIn } from '../make-models.js';
import { picture, type Sized, THUMBNAILS, uploadPictures, WEB } from './corpus.js';
import { type Harness, jobOf, type Outcome, type TimedJob, withHarness } from './harness.js';
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
  { name: 'size', run: (harness: Harness) => size(harness, 'size', 200) },
  { name: 'size.busy', run: (harness: Harness) => size(harness, 'size.busy', 100) },
  { name: 'model', run: (harness: Harness) => model(harness) },
];

export const fairness: Benchmark = (asked) =>
  withHarness([any, upscale, cutOut], asked.progress, (harness) => figuresFor(CASES, asked, ({ run }) => run(harness)));

async function size(harness: Harness, load: 'size' | 'size.busy', everyMs: number): Promise<Figure> {
  const thumbnails = await uploadPictures(harness, THUMBNAILS, SMALL_ONES, load);
  const large = await harness.upload(`${load}/large.jpg`, await picture(LARGE));
  const stream = (run: string) =>
    thumbnails.map(({ uri }, i) => timed(`thumbnail.${load}.${run}.${i}`, any, uri, i * everyMs));

  await harness.freshWorkers();
  await harness.run(stream('warm'));
  const alone = await harness.run(stream('alone'));
  // It is decoded before the first thumbnail comes, and not done before the last has gone.
  const both = await harness.run([timed(`large.${load}`, any, large, 0), ...later(stream('beside'), 2_000)]);
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

async function model(harness: Harness): Promise<Figure> {
  const pictures = await uploadPictures(harness, WEB, BURST, 'model');
  const cutOuts = (run: string) =>
    pictures
      .slice(0, CUT_OUTS)
      .map(({ uri }, i) => timed(`cut.${run}.${i}`, cutOut, uri, i * CUT_OUT_EVERY_MS, 'second'));
  const burst = pictures.map(({ uri }, i) => timed(`burst.${i}`, upscale, uri, 0));

  await harness.freshWorkers();
  await harness.run(cutOuts('warm'));
  const alone = await harness.run(cutOuts('alone'));
  const both = await harness.run([...burst, ...later(cutOuts('beside'), 1_000)]);
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
