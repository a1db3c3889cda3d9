/**
 * What a thumbnail waits while decoders, encoders and memory are full of large pictures that become AVIF. The worker
 * reaches storage by a name, which is looked up in the thread pool that decoders and encoders share.
 */
import type { StandIn } from '../make-models.js';
import { picture, type Sized, THUMBNAILS, uploadPictures } from './corpus.js';
import { type Harness, jobOf, type Outcome, withHarness } from './harness.js';
import { type Benchmark, figure, figuresFor, quantile, round } from './result.js';

const SMALL_ONES = 200;
const EVERY_MS = 200;
/** The large ones have been fetched by then, and have filled what they can. */
const HEAD_START_MS = 3_000;
const GOAL_MS = 1_000;

const CASES: readonly { readonly name: string; readonly count: number; readonly size: Sized }[] = [
  { name: 'codecs', count: 8, size: { width: 4_243, height: 2_828 } }, // 12 megapixels
  { name: 'memory', count: 2, size: { width: 8_660, height: 5_774 } }, // 50 megapixels
];

const model: StandIn = {
  ...{ name: 'quick', fixedMs: 20, eachMs: 0, plans: ['tile', 'whole'], tileSizes: [1024], margin: 0 },
};

export const starvation: Benchmark = (asked) => {
  const byName = (env: { readonly STORAGE_EMULATOR_HOST: string }) => ({
    STORAGE_EMULATOR_HOST: env.STORAGE_EMULATOR_HOST.replace('127.0.0.1', 'localhost'),
  });
  const run = (harness: Harness) => figuresFor(CASES, asked, (one) => beside(harness, one));
  return withHarness([model], asked.progress, run, { env: byName });
};

async function beside(harness: Harness, { name, count, size }: (typeof CASES)[number]) {
  const thumbnails = await uploadPictures(harness, THUMBNAILS, SMALL_ONES, name);
  const large = await harness.upload(`${name}/large.jpg`, await picture(size));
  const stream = (run: string, count: number, fromMs: number) =>
    thumbnails
      .slice(0, count)
      .map(({ uri }, i) => job(`thumbnail.${name}.${run}.${i}`, uri, 'jpeg', fromMs + i * EVERY_MS));

  await harness.freshWorkers();
  await harness.run(stream('warm', 10, 0));
  const alone = waitsOf(await harness.run(stream('alone', 50, 0)));
  const both = await harness.run([
    ...Array.from({ length: count }, (_, i) => job(`large.${name}.${i}`, large, 'avif', 0)),
    ...stream('beside', SMALL_ONES, HEAD_START_MS),
  ]);
  const larges = both.waitsMs('large');
  const firstLargeMs = Math.min(...larges);
  const lastLargeMs = Math.max(...larges);
  if (lastLargeMs < HEAD_START_MS + SMALL_ONES * EVERY_MS) throw new Error('the large ones were over too soon');
  // There is no series before the first.
  const putBack = (await harness.metric('imagen_deferred_total')) || 0;
  const waits = waitsOf(both);
  const detail = {
    simulated: 'the model sleeps',
    ...{ alone, beside: waits, putBack },
    largeSeconds: { first: round(firstLargeMs / 1000), last: round(lastLargeMs / 1000) },
  };
  const measured = figure(`starvation.${name}`, waits.p95Ms / GOAL_MS, '<=', 1, detail);
  return { ...measured, pass: measured.pass && putBack === 0 };
}

const job = (jobId: string, uri: string, format: 'jpeg' | 'avif', atMs: number) => ({
  ...{ job: jobOf(jobId, model.name, uri, { output: { format } }), atMs },
});

function waitsOf(outcome: Outcome) {
  const waits = outcome.waitsMs('thumbnail');
  const at = (share: number) => Math.round(quantile(waits, share));
  return { p50Ms: at(0.5), p95Ms: at(0.95), mostMs: Math.round(Math.max(...waits)) };
}
