/**
 * Does a large job, or a burst for another model, keep small ones waiting? What a thumbnail waits, from publish to
 * completion, beside such a load and without it. The models sleep instead of computing; in `fairness.model` they share
 * one stand-in for a GPU, which runs one execution at a time.
 */
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import { type Corpus, corpusOf, picture, type Sized, sizesOf } from './corpus.js';
import { type Ground, openGround } from './ground.js';
import type { StandIn } from './make-models.js';
import { type Figure, figure, reported, round } from './result.js';

const FIXED_MS = 45;
const EACH_MS = 5;
/** 40 megapixels: 744 tiles of 256 × 256, some 93 batches. */
const LARGE: Sized = { width: 7303, height: 5477 };
/** Thumbnails while the large job is at it; every 200 ms they keep a quarter of the GPU busy, every 100 ms half of it. */
const THUMBNAILS = 40;
const THUMBNAIL_EVERY_MS = { size: 200, 'size.busy': 100 };
const BURST = 150;
const CUT_OUTS = 30;
const CUT_OUT_EVERY_MS = 200;

const any: StandIn = {
  ...{ name: 'any', batching: true, fixedMs: FIXED_MS, eachMs: EACH_MS },
  parameters: { 'imagen.plans': '["tile","whole"]', 'imagen.tile_sizes': '[256]', 'imagen.margin': '10' },
};
const upscale: StandIn = { ...any, name: 'upscale_like', gpu: true };
const cutOut: StandIn = {
  ...{ name: 'cut_out_like', batching: true, gpu: true, side: 512, fixedMs: FIXED_MS, eachMs: 4 * EACH_MS },
  parameters: { 'imagen.plans': '["fit"]', 'imagen.fit_size': '512x512' },
};

export async function fairness(progress: Progress, only: readonly string[]): Promise<Figure[]> {
  const ground = await openGround([any, upscale, cutOut], progress);
  const wanted = (name: string) => only.length === 0 || only.includes(name);
  try {
    return [
      ...(wanted('size') ? [await size(ground, progress, 'size'), await size(ground, progress, 'size.busy')] : []),
      ...(wanted('model') ? [await model(ground, progress)] : []),
    ];
  } finally {
    await ground.close();
  }
}

async function size(ground: Ground, progress: Progress, load: keyof typeof THUMBNAIL_EVERY_MS): Promise<Figure> {
  const everyMs = THUMBNAIL_EVERY_MS[load];
  const thumbnails = await uploadSome(ground, load, corpusOf('thumbnails'), THUMBNAILS);
  const large = await ground.upload(`${load}/large.jpg`, await picture(LARGE));
  const stream = (run: string) =>
    thumbnails.map((uri, i) => job(`thumbnail.${load}.${run}.${i}`, any, uri, i * everyMs));

  await ground.freshWorker();
  await ground.run(stream('warm'));
  const alone = await ground.run(stream('alone'));
  progress.say(`thumbnails alone: ${JSON.stringify(waitsOf(alone.waitsMs, 'thumbnail'))}`);
  // It is decoded before the first thumbnail comes, and not done before the last has gone.
  const both = await ground.run([job(`large.${load}`, any, large, 0), ...later(stream('beside'), 2_000)]);
  const detail = {
    simulated: 'the model sleeps instead of computing',
    everyMs,
    alone: waitsOf(alone.waitsMs, 'thumbnail'),
    beside: waitsOf(both.waitsMs, 'thumbnail'),
    largeMs: Math.round(both.waitsMs.get(`large.${load}`) ?? NaN),
  };
  if (detail.largeMs < 2_000 + THUMBNAILS * everyMs) throw new Error('the large job was over too soon');
  const ratio = detail.beside.meanMs / detail.alone.meanMs;
  return load === 'size'
    ? figure('fairness.size', ratio, '<=', 2, detail)
    : reported(`fairness.${load}`, ratio, detail);
}

async function model(ground: Ground, progress: Progress): Promise<Figure> {
  const pictures = await uploadSome(ground, 'model', corpusOf('web'), BURST);
  const cutOuts = (run: string) =>
    pictures.slice(0, CUT_OUTS).map((uri, i) => job(`cut.${run}.${i}`, cutOut, uri, i * CUT_OUT_EVERY_MS, 'second'));
  const burst = pictures.map((uri, i) => job(`burst.${i}`, upscale, uri, 0));

  await ground.freshWorker();
  await ground.run(cutOuts('warm'));
  const alone = await ground.run(cutOuts('alone'));
  progress.say(`cut-outs alone: ${JSON.stringify(waitsOf(alone.waitsMs, 'cut'))}`);
  const both = await ground.run([...burst, ...later(cutOuts('beside'), 1_000)]);
  const lastOfBurst = Math.max(...[...both.waitsMs].filter(([id]) => id.startsWith('burst')).map(([, ms]) => ms));
  const detail = {
    simulated: 'models sleep instead of computing, one execution of all at a time',
    alone: waitsOf(alone.waitsMs, 'cut'),
    beside: waitsOf(both.waitsMs, 'cut'),
    burstMs: Math.round(lastOfBurst),
  };
  if (lastOfBurst < 1_000 + CUT_OUTS * CUT_OUT_EVERY_MS) throw new Error('the burst was over too soon');
  return figure('fairness.model', detail.beside.meanMs / detail.alone.meanMs, '<=', 2, detail);
}

interface Timed {
  readonly job: JobMessage;
  readonly atMs: number;
  readonly queue?: 'second';
}

function job(jobId: string, { name }: StandIn, uri: string, atMs: number, queue?: 'second'): Timed {
  const message = { jobId, operations: [name], input: { uri }, output: { format: 'jpeg' as const } };
  return { job: message, atMs, ...(queue ? { queue } : {}) };
}

function later(jobs: readonly Timed[], ms: number): Timed[] {
  return jobs.map((one) => ({ ...one, atMs: one.atMs + ms }));
}

async function uploadSome(ground: Ground, folder: string, corpus: Corpus, count: number): Promise<string[]> {
  const uris: string[] = [];
  for (const one of sizesOf(corpus, count)) {
    uris.push(await ground.upload(`${folder}/${one.width}x${one.height}.jpg`, await picture(one)));
  }
  return uris;
}

function waitsOf(waitsMs: ReadonlyMap<string, number>, prefix: string) {
  const waits = [...waitsMs].filter(([id]) => id.startsWith(prefix)).map(([, ms]) => ms);
  waits.sort((a, b) => a - b);
  return {
    meanMs: round(waits.reduce((sum, ms) => sum + ms, 0) / waits.length),
    p95Ms: Math.round(waits[Math.floor(waits.length * 0.95)] ?? NaN),
  };
}
