/**
 * What an outage costs those who are not part of it, and how soon all is well again: one model of five unloaded, Triton
 * gone, and a queue that is too small. Each model has as much to do as it can, so that a rate is its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Completion } from '../../../src/domain/completion.js';
import type { Parts } from '../parts.js';
import { controlModel } from '../../dev/parts/triton.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { picture } from './corpus.js';
import { jobOf, withTraffic, withWorkers } from './harness.js';
import { type Benchmark, type Figure, figure, figuresFor, round, simulated } from './result.js';

const OUTAGE_MS = 60_000;
/** Until a rate is steady, and for how long one is measured: jobs end in batches, a few dozen at a time. */
const WARM_MS = 8_000;
const MEASURE_MS = 30_000;
const BACK_WITHIN_MS = 5_000;
const STORM_WORKERS = 4;
/** In a turn; in all turns together not more than fake-gcs-server holds before it, too, becomes a bottleneck. */
const STORM_JOBS = 400;
const STORM_TURNS = 2;

const sleeper = { fixedMs: 400, eachMs: 100, plans: ['whole'] } as const;
const FIVE = ['one', 'two', 'three', 'four', 'five'].map((name) => ({ ...sleeper, name }));
const GONE = 'five';
const limited = { fixedMs: 200, eachMs: 25, plans: ['whole'] } as const;
const CROWDED = { ...limited, name: 'crowded_queue', queueSize: 16 };
const ROOMY = { ...limited, name: 'roomy_queue', queueSize: 10_000 };

/** Jobs a second until the first and until the last worker has no more: the emulator hands out unequal parts. */
interface Rates {
  readonly rate: number;
  readonly toTheLast: number;
}

const CASES = [
  { name: 'model', models: FIVE, run: oneModel },
  { name: 'triton', models: FIVE, run: wholeServer },
  { name: 'storm', models: [CROWDED, ROOMY], run: storm },
];

export const outage: Benchmark = (asked) =>
  figuresFor(CASES, asked, ({ models, run }) =>
    withTraffic({ models, progress: asked.progress }, async (parts, traffic) => {
      const uri = await parts.upload('picture.jpg', await picture({ width: 96, height: 64 }));
      return run(parts, traffic, uri);
    }),
  );

async function oneModel(parts: Parts, traffic: Traffic, uri: string): Promise<Figure> {
  const others = (completion: Completion) => completion.steps?.[0]?.model !== GONE;
  return withWorkers(parts, 1, async () => {
    const count = await backlog(traffic, uri, WARM_MS + MEASURE_MS + 1.5 * OUTAGE_MS);
    const before = await steadyRate(traffic, others);
    await controlModel(parts.stack.ports, GONE, 'unload');
    const from = performance.now();
    await sleep(OUTAGE_MS);
    const during = traffic.rate(from, performance.now(), others);
    const gone = traffic.rate(from + 2_000, performance.now(), (completion) => !others(completion));
    await controlModel(parts.stack.ports, GONE, 'load');
    await traffic.untilEnded(count);
    return figure('outage.model', during / before, '>=', 0.95, {
      ...{ simulated, before: round(before), during: round(during) },
      ...{ ofTheModelThatWasGone: round(gone), ...outcomes(traffic) },
    });
  });
}

async function wholeServer(parts: Parts, traffic: Traffic, uri: string): Promise<Figure> {
  return withWorkers(parts, 1, async () => {
    const count = await backlog(traffic, uri, 3 * WARM_MS + 2 * MEASURE_MS);
    const before = await steadyRate(traffic);
    await parts.restartTriton('SIGKILL', OUTAGE_MS);
    const back = performance.now();
    await sleep(BACK_WITHIN_MS + MEASURE_MS);
    const after = traffic.rate(back + BACK_WITHIN_MS, performance.now());
    const firstAt = traffic.ended.find(({ at }) => at > back)?.at ?? NaN;
    await traffic.untilEnded(count);
    return figure('outage.triton', after / before, '>=', 0.95, {
      ...{ simulated, before: round(before), after: round(after) },
      ...{ firstAfterMs: Math.round(firstAt - back), ...outcomes(traffic) },
    });
  });
}

async function storm(parts: Parts, traffic: Traffic, uri: string): Promise<Figure> {
  return withWorkers(parts, STORM_WORKERS, async () => {
    const goodput = async ({ name }: StandIn) => {
      const before = traffic.ended.length;
      const jobs = Array.from({ length: STORM_JOBS }, (_, i) => jobOf(`${name}.${before}.${i}`, name, uri));
      const { begin, ended } = await traffic.through(jobs);
      const lastOf = new Map(ended.map(({ completion, at }) => [completion.worker, at]));
      const rateUntil = (end: number) => traffic.rate(begin, end);
      const lasts = [...lastOf.values()];
      return { rate: rateUntil(Math.min(...lasts)), toTheLast: rateUntil(Math.max(...lasts)) };
    };
    const mean = (of: readonly Rates[], which: keyof Rates) =>
      of.length / of.reduce((sum, rates) => sum + 1 / rates[which], 0);
    // Unmeasured, so that the workers' code is warm and they have found out what the queue takes.
    await goodput(ROOMY);
    const { toTheLast: atFirst } = await goodput(CROWDED);
    // In turns, so that a machine that slows down or speeds up does so for both.
    const [roomy, crowded]: [Rates[], Rates[]] = [[], []];
    for (let turn = 0; turn < STORM_TURNS; turn++) {
      roomy.push(await goodput(ROOMY));
      crowded.push(await goodput(CROWDED));
    }
    const ratio = (which: keyof Rates) => mean(crowded, which) / mean(roomy, which);
    return figure('outage.storm', ratio('rate'), '>=', 0.9, {
      ...{ simulated, workers: STORM_WORKERS, queueSize: CROWDED.queueSize },
      ...{ capacity: roomy.map(({ rate }) => round(rate)), goodput: crowded.map(({ rate }) => round(rate)) },
      ...{ goodputAtFirst: round(atFirst), ratioToTheLast: round(ratio('toTheLast')), ...outcomes(traffic) },
    });
  });
}

/** Jobs for all five in turn, more than they can do in that time. @returns how many */
async function backlog(traffic: Traffic, uri: string, ms: number): Promise<number> {
  const mostASecond = (FIVE.length * 8) / ((sleeper.fixedMs + 8 * sleeper.eachMs) / 1000);
  const count = Math.ceil((mostASecond * ms) / 1000);
  const jobs = Array.from({ length: count }, (_, i) => jobOf(`job.${i}`, FIVE[i % FIVE.length]?.name ?? '', uri));
  await traffic.publish(jobs);
  return count;
}

async function steadyRate(traffic: Traffic, counts?: (completion: Completion) => boolean): Promise<number> {
  await sleep(WARM_MS + MEASURE_MS);
  const now = performance.now();
  return traffic.rate(now - MEASURE_MS, now, counts);
}

function outcomes({ ended, deadLetters }: Traffic) {
  const bad = ended.filter(({ completion }) => completion.status !== 'succeeded' || completion.attempt !== 1);
  if (deadLetters.length > 0) throw new Error(`${deadLetters.length} dead letters`);
  const failed = bad.find(({ completion }) => completion.status !== 'succeeded');
  if (failed) throw new Error(`${failed.completion.jobId ?? ''}: ${failed.completion.error?.message ?? ''}`);
  return { jobs: ended.length, moreThanOneAttempt: bad.length, deadLetters: deadLetters.length };
}
