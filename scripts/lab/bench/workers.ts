/** Do several workers disturb each other? Jobs for each second of processor time, with four and with one. */
import type { JobMessage } from '../../../src/domain/job.js';
import { noProgress } from '../../dev/progress.js';
import type { Parts } from '../parts.js';
import type { Traffic } from '../traffic.js';
import { cpuOf, imagen } from './contenders.js';
import { CORPORA, pictureMaker, type Uploaded } from './corpus.js';
import { withTraffic } from './harness.js';
import { type Benchmark, figure, figuresFor, median, round } from './result.js';

const PICTURES = 30;
const MODEL = 'echo';
/** Jobs that count, and those before them with which each worker compiles its own code. */
const JOBS = { thumbnails: { warm: 800, counted: 600 }, web: { warm: 250, counted: 200 } } as const;

export const workers: Benchmark = (asked) => {
  const echo = { name: MODEL, fixedMs: 0, eachMs: 0, plans: ['whole' as const], maxWholePixels: 13_000_000 };
  const cases = CORPORA.flatMap((corpus) => (corpus.name === 'camera' ? [] : [{ name: corpus.name, corpus }]));
  return figuresFor(cases, asked, async ({ name, corpus }) => {
    const upload = await pictureMaker(corpus, PICTURES);
    const measure = (count: number) =>
      withTraffic({ models: [echo], progress: noProgress }, async (parts, traffic) =>
        cpuOfJob(parts, traffic, count, await upload(parts), JOBS[name]),
      );
    const spent = { one: [] as number[], four: [] as number[] };
    for (let i = 0; i < asked.rounds; i++) {
      spent.one.push(await measure(1));
      spent.four.push(await measure(4));
      asked.progress.say(
        `${name}: one ${round(spent.one.at(-1) ?? NaN)} ms, four ${round(spent.four.at(-1) ?? NaN)} ms`,
      );
    }
    const [one, four] = [median(spent.one), median(spent.four)];
    const detail = { cpuMs: { one: round(one), four: round(four) }, rounds: asked.rounds };
    return figure(`workers.${name}`, one / four, '>=', 0.95, detail);
  });
};

/** Milliseconds of all workers together, for one job. */
async function cpuOfJob(
  parts: Parts,
  traffic: Traffic,
  count: number,
  pictures: readonly Uploaded[],
  { warm, counted }: (typeof JOBS)[keyof typeof JOBS],
) {
  const run = Math.random().toString(36).slice(2);
  const jobs = (kind: string, length: number) =>
    Array.from({ length }, (_, i): JobMessage => {
      const { uri = '' } = pictures[i % pictures.length] ?? {};
      return { jobId: `workers.${run}.${kind}.${i}`, operations: [MODEL], input: { uri }, output: { format: 'jpeg' } };
    });
  const running = await Promise.all(Array.from({ length: count }, () => imagen('imagen', 'unary').start(parts)));
  try {
    await traffic.through(jobs('warm', warm * count));
    // fake-gcs-server searches its objects one by one: those of the warm-up would slow down all that follows.
    await parts.storage.bucket(new URL(parts.env.IMAGEN_OUTPUT_PREFIX).host).deleteFiles({ force: true });
    const cpu = () => running.reduce((sum, { pid }) => sum + cpuOf(pid), 0);
    const before = cpu();
    await traffic.through(jobs('counted', counted));
    return (cpu() - before) / counted;
  } finally {
    await Promise.all(running.map(({ stop }) => stop()));
  }
}
