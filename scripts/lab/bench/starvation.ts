/**
 * Do large pictures stop small ones? What a thumbnail waits, from publish to completion, while decoders, encoders and memory
 * are full of large pictures that become AVIF. Everything is real but the model, which sleeps for 20 ms. The worker
 * reaches storage by a name, which is looked up in the thread pool that decoders and encoders share.
 */
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import { corpusOf, picture, type Sized, sizesOf } from './corpus.js';
import { type Ground, openGround, type TimedJob } from './ground.js';
import type { StandIn } from './make-models.js';
import { type Figure, figure, round } from './result.js';

const THUMBNAILS = 200;
const EVERY_MS = 200;
/** The large ones have been fetched by then, and have filled what they can. */
const HEAD_START_MS = 3_000;
const GOAL_MS = 1_000;

const CASES: readonly { readonly name: string; readonly count: number; readonly size: Sized }[] = [
  { name: 'codecs', count: 8, size: { width: 4_243, height: 2_828 } }, // 12 megapixels
  { name: 'memory', count: 2, size: { width: 8_660, height: 5_774 } }, // 50 megapixels
];

const model: StandIn = {
  ...{ name: 'quick', batching: true, fixedMs: 20, eachMs: 0 },
  parameters: { 'imagen.plans': '["tile","whole"]', 'imagen.tile_sizes': '[1024]', 'imagen.margin': '0' },
};

export async function starvation(progress: Progress, only: readonly string[]): Promise<Figure[]> {
  const byName = (env: { readonly STORAGE_EMULATOR_HOST: string }) => ({
    STORAGE_EMULATOR_HOST: env.STORAGE_EMULATOR_HOST.replace('127.0.0.1', 'localhost'),
  });
  const ground = await openGround([model], progress, {}, byName);
  try {
    const figures: Figure[] = [];
    for (const one of CASES) {
      if (only.length > 0 && !only.includes(one.name)) continue;
      figures.push(await beside(ground, one, progress));
    }
    return figures;
  } finally {
    await ground.close();
  }
}

async function beside(ground: Ground, { name, count, size }: (typeof CASES)[number], progress: Progress) {
  const thumbnails: string[] = [];
  for (const one of sizesOf(corpusOf('thumbnails'), THUMBNAILS)) {
    thumbnails.push(await ground.upload(`${name}/${one.width}x${one.height}.jpg`, await picture(one)));
  }
  const large = await ground.upload(`${name}/large.jpg`, await picture(size));
  const stream = (run: string, count: number, fromMs: number) =>
    thumbnails
      .slice(0, count)
      .map((uri, i) => job(`thumbnail.${name}.${run}.${i}`, uri, 'jpeg', fromMs + i * EVERY_MS));

  await ground.freshWorker();
  await ground.run(stream('warm', 10, 0));
  const alone = waitsOf((await ground.run(stream('alone', 50, 0))).waitsMs);
  progress.say(`thumbnails alone: ${JSON.stringify(alone)}`);
  const both = await ground.run([
    ...Array.from({ length: count }, (_, i) => job(`large.${name}.${i}`, large, 'avif', 0)),
    ...stream('beside', THUMBNAILS, HEAD_START_MS),
  ]);
  const larges = [...both.waitsMs].filter(([id]) => id.startsWith('large')).map(([, ms]) => ms);
  const firstLargeMs = Math.min(...larges);
  const lastLargeMs = Math.max(...larges);
  if (lastLargeMs < HEAD_START_MS + THUMBNAILS * EVERY_MS) throw new Error('the large ones were over too soon');
  // There is no series before the first.
  const putBack = (await ground.metric('imagen_deferred_total')) || 0;
  const waits = waitsOf(both.waitsMs);
  const detail = {
    simulated: 'the model sleeps',
    ...{ alone, beside: waits, putBack },
    largeSeconds: { first: round(firstLargeMs / 1000), last: round(lastLargeMs / 1000) },
  };
  progress.say(`${name}: ${JSON.stringify(detail)}`);
  const measured = figure(`starvation.${name}`, waits.p95Ms / GOAL_MS, '<=', 1, detail);
  return { ...measured, pass: measured.pass && putBack === 0 };
}

function job(jobId: string, uri: string, format: 'jpeg' | 'avif', atMs: number): TimedJob {
  const message: JobMessage = { jobId, operations: [model.name], input: { uri }, output: { format } };
  return { job: message, atMs };
}

function waitsOf(waitsMs: ReadonlyMap<string, number>) {
  const waits = [...waitsMs].filter(([id]) => id.startsWith('thumbnail')).map(([, ms]) => ms);
  waits.sort((a, b) => a - b);
  const at = (share: number) => Math.round(waits[Math.floor(waits.length * share)] ?? NaN);
  return { p50Ms: at(0.5), p95Ms: at(0.95), mostMs: Math.round(waits.at(-1) ?? NaN) };
}
