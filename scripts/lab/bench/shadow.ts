/**
 * What jobs pay for shadows: the mean time of a job, from publish to completion, while a fifth of the jobs is done once more
 * by another version, against the same jobs at the same moments without. Both versions share one stand-in for a GPU.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../dev/until.js';
import type { StandIn } from '../make-models.js';
import { seeded } from '../random.js';
import { picture } from './corpus.js';
import { type Harness, jobOf, type TimedJob, withHarness } from './harness.js';
import { type Benchmark, type Figure, figure, mean, median, quantile, round, simulated } from './result.js';

const SHARE = 0.2;
/** Of the GPU, if each job's request were an execution of its own. */
const LOAD = 0.7;
/** Fewer are for a first look: then the figure is not that of the goal. */
const JOBS = Number(process.env.BENCH_JOBS ?? 300);
const SIZE = { width: 512, height: 384 };
/** An execution for one such picture takes 100 ms. */
const model: StandIn = {
  ...{ name: 'shared', fixedMs: 40, eachMs: 20, plans: ['whole'], gpu: true, versions: 2 },
};
const EXECUTION_MS = 100;
/** Workers look for new routes every two seconds. */
const ROUTES_MS = 3_000;

export const shadow: Benchmark = async ({ progress, rounds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'imagen-bench-'));
  const path = join(folder, 'routes.json');
  const route = (share: number) =>
    writeFile(
      path,
      JSON.stringify({
        models: { [model.name]: { default: '1', ...(share > 0 ? { shadow: { version: '2', share } } : {}) } },
      }),
    );
  await route(0);
  try {
    return await withHarness([model], progress, (harness) => beside(harness, route, rounds), {
      env: (env) => ({ IMAGEN_ROUTES_FILE: path, IMAGEN_SHADOW_PREFIX: `${env.IMAGEN_OUTPUT_PREFIX}shadows` }),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
};

async function beside(harness: Harness, route: (share: number) => Promise<void>, rounds: number): Promise<Figure[]> {
  const uri = await harness.upload('shadow.jpg', await picture(SIZE));
  const run = async (name: string, share: number) => {
    await route(share);
    await sleep(ROUTES_MS);
    const waits = (await harness.run(arrivals(name, uri))).waitsMs(name);
    // What still waits must not run beside the jobs of the next run: without a shadow in the routes it is dropped.
    await route(0);
    const left = async () =>
      (await harness.metric('imagen_shadows_waiting')) + (await harness.metric('imagen_shadows_active'));
    await until(async () => (await left()) === 0, { limitMs: 60_000, what: 'all shadows have ended' });
    return waits;
  };
  await run('warm', 0);
  const pairs: { alone: number[]; shadowed: number[] }[] = [];
  for (let i = 0; i < rounds; i++) {
    const alone = () => run(`alone.${i}`, 0);
    const shadowed = () => run(`shadowed.${i}`, SHARE);
    // They change places, so that what drifts on the machine does not count for one of them.
    if (i % 2 === 0) pairs.push({ alone: await alone(), shadowed: await shadowed() });
    else pairs.push({ shadowed: await shadowed(), alone: await alone() });
  }
  const ratios = pairs.map(({ alone, shadowed }) => mean(shadowed) / mean(alone));
  const [alone, shadowed] = [pairs.flatMap((pair) => pair.alone), pairs.flatMap((pair) => pair.shadowed)];
  const counted = async (result: string) => harness.metric('imagen_shadows_total', model.name, { result });
  const detail = {
    ...{ simulated, jobs: JOBS, load: LOAD, share: SHARE, ratios: ratios.map(round), aloneMs: round(mean(alone)) },
    p95: round(quantile(shadowed, 0.95) / quantile(alone, 0.95)),
    ...{ compared: await counted('compared'), dropped: await counted('dropped'), failed: await counted('failed') },
  };
  return [figure('shadow', median(ratios), '<=', 1.02, detail)];
}

/** Jobs that come at random, the same moments in every run. */
function arrivals(name: string, uri: string): TimedJob[] {
  const random = seeded(7);
  let atMs = 0;
  return Array.from({ length: JOBS }, (_, i) => {
    atMs -= (Math.log(1 - random()) * EXECUTION_MS) / LOAD;
    return { job: jobOf(`${name}.${i}`, model.name, uri, { output: { format: 'jpeg' } }), atMs };
  });
}
