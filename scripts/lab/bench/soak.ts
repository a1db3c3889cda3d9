/** Does a worker grow? It is asked after each 500 of 5,000 jobs, some of which fail, and some are put back. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Parts } from '../parts.js';
import { controlModel } from '../../dev/parts/triton.js';
import { root } from '../../dev/stack/paths.js';
import { until } from '../../dev/until.js';
import { metricIn, startWorker, type Worker } from '../../dev/workers.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { picture, THUMBNAILS, uploadPictures } from './corpus.js';
import { endWorker, toldBy, withTraffic } from './harness.js';
import { type Benchmark, type Figure, figure, median, round } from './result.js';

const JOBS = 5_000;
const ROUND = 500;
/** Of each round: for the model that is away, and of each kind that fails. */
const AWAY = 20;
const FAILING = 5;
const PICTURES = 50;
const SAMPLES = 5;
const GOAL = 1.05;
/** Of counts: rounds at the beginning and at the end whose middle ones are compared. */
const SEVERAL = 3;
const COUNTS_GOAL = 1.1;

const quick: StandIn = { name: 'quick', fixedMs: 2, eachMs: 0, plans: ['whole'], failsOnDemand: true };
const away: StandIn = { ...quick, name: 'away' };

/** What the worker holds (count-kept.js); `resources` keep its event loop alive, by kind. */
interface Kept extends Record<(typeof NUMBERS)[number], number> {
  readonly resources: Readonly<Record<string, number>>;
}
const BYTES = ['rss', 'heapTotal', 'heapUsed', 'external'] as const;
const NUMBERS = [...BYTES, 'files', 'listeners'] as const;

export const soak: Benchmark = ({ progress }) =>
  withTraffic({ models: [quick, away], progress, env: LIMITS }, async (parts, traffic) => {
    const file = join(parts.dir, 'kept.json');
    const preload = [join(root, 'scripts/lab/bench/count-kept.js')];
    const worker = await startWorker({ ...parts.env, ...MALLOC, KEPT: file }, { preload });
    try {
      const inputs = await uploadInputs(parts);
      const rounds: Kept[] = [];
      for (let i = 0; i < JOBS / ROUND; i++) {
        await oneRound(parts, traffic, inputs, i);
        await idle(worker);
        const kept = await sample(worker, file);
        rounds.push(kept);
        progress.say(`after ${(i + 1) * ROUND}: ${JSON.stringify(shown(kept))}`);
      }
      const text = await worker.metrics();
      const putBack = metricIn(text, 'imagen_deferred_total');
      const failed = metricIn(text, 'imagen_jobs_total', { status: 'failed' });
      return figuresOf(rounds, { simulated: 'models sleep', putBack, failed, malloc: MALLOC });
    } finally {
      await endWorker(worker);
    }
  });

/** The image's allocator, with its settings (Dockerfile). Its background thread returns freed pages. */
const MALLOC = { LD_PRELOAD: 'libjemalloc.so.2', MALLOC_CONF: 'background_thread:true,narenas:2' };
/** Freed pages are returned within ten seconds (`dirty_decay_ms`), connections closed and timers of the jobs run out. */
const REST_MS = 12_000;

/** Few places, so that jobs of a model that is away are put back instead of standing aside. */
const LIMITS = { IMAGEN_MAX_JOBS: '8', IMAGEN_MODEL_WAIT_SECONDS: '1' };

type Inputs = Awaited<ReturnType<typeof uploadInputs>>;

async function uploadInputs(parts: Parts) {
  const good = (await uploadPictures(parts, THUMBNAILS, PICTURES)).map(({ uri }) => uri);
  const whole = await picture({ width: 96, height: 64 });
  return { good, broken: await parts.upload('broken.jpg', whole.subarray(0, whole.length / 2)) };
}

/** Until all of its jobs have ended; those of the model that is away do when it is back. */
async function oneRound({ stack }: Parts, traffic: Traffic, { good, broken }: Inputs, i: number): Promise<void> {
  const before = traffic.ended.length;
  const input = (n: number) => ({ uri: good[n % good.length] ?? '' });
  const of = (kind: string, count: number, make: (n: number) => Omit<JobMessage, 'jobId'> | undefined) =>
    Array.from({ length: count }, (_, n) => {
      const jobId = `soak.${i}.${kind}.${n}`;
      const job = make(n);
      return job ? { ...job, jobId } : `not a job: ${jobId}`;
    });
  const failing = { model: quick.name, parameters: { fail: true } };
  const waiting = of('away', AWAY, (n) => ({ operations: [away.name], input: input(n) }));
  const others = [
    ...of('unreadable', FAILING, () => undefined),
    ...of('broken', FAILING, () => ({ operations: [quick.name], input: { uri: broken } })),
    ...of('missing', FAILING, () => ({ operations: [quick.name], input: { uri: `${broken}.missing` } })),
    ...of('failing', FAILING, (n) => ({ operations: [failing], input: input(n) })),
  ];
  const formats = ['jpeg', 'png', 'webp', 'jpeg'] as const;
  const fine = of('fine', ROUND - AWAY - others.length, (n) => ({
    ...{ operations: [quick.name], input: input(n), timeoutSeconds: 300 },
    output: { format: formats[n % formats.length] ?? 'jpeg' },
  }));
  await controlModel(stack.ports, away.name, 'unload');
  await traffic.publish([...waiting, ...others, ...fine]);
  await traffic.untilEnded(before + ROUND - AWAY);
  await sleep(3_000); // with nothing else to do, some of those that stand aside are put back
  await controlModel(stack.ports, away.name, 'load');
  await traffic.untilEnded(before + ROUND);
}

async function idle(worker: Worker): Promise<void> {
  const isIdle = async () => {
    const text = await worker.metrics();
    return metricIn(text, 'imagen_jobs_active') + metricIn(text, 'imagen_jobs_parked') === 0;
  };
  await until(isIdle, { everyMs: 200 });
  await sleep(REST_MS);
}

/** The median of each number. */
async function sample(worker: Worker, file: string): Promise<Kept> {
  const samples: Kept[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    samples.push((await toldBy(worker.pid, file)) as Kept);
    await sleep(500);
  }
  const middle = (of: (kept: Kept) => number) => median(samples.map(of));
  const kinds = new Set(samples.flatMap(({ resources }) => Object.keys(resources)));
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, middle((kept) => kept[name])]));
  const resources = Object.fromEntries([...kinds].map((kind) => [kind, middle((kept) => kept.resources[kind] ?? 0)]));
  return { ...numbers, resources } as Kept;
}

const shown = (kept: Kept): object => ({
  ...kept,
  ...Object.fromEntries(BYTES.map((name) => [name, inMB(kept[name])])),
});

function figuresOf(rounds: readonly Kept[], about: object): Figure[] {
  const [first, last] = [rounds[0], rounds.at(-1)];
  if (!first || !last) throw new Error('there has been no round');
  const compared = { first: shown(first), last: shown(last) };
  const rssMB = rounds.map(({ rss }) => inMB(rss));
  const counts = {
    listeners: ({ listeners }: Kept) => listeners,
    files: ({ files }: Kept) => files,
    handles: ({ resources }: Kept) => Object.values(resources).reduce((a, b) => a + b, 0),
  };
  return [
    figure('soak.memory', last.rss / first.rss, '<=', GOAL, { ...about, rssMB, ...compared }),
    ...Object.entries(counts).map(([name, count]) => {
      const all = rounds.map(count);
      // A connection more or less is open at any time.
      const [before, after] = [median(all.slice(0, SEVERAL)), median(all.slice(-SEVERAL))];
      return figure(`soak.${name}`, (after + 1) / (before + 1), '<=', COUNTS_GOAL, { rounds: all });
    }),
  ];
}

const inMB = (bytes: number) => round(bytes / 1e6);
