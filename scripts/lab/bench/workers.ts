/** Do several workers disturb each other? Jobs for each second of processor time, with four and with one. */
import type { JobMessage } from '../../../src/domain/job.js';
import type { Parts } from '../parts.js';
import type { Traffic } from '../traffic.js';
import { cpuOf, imagen } from './contenders.js';
import { CORPORA, type Uploaded, uploadPictures } from './corpus.js';
import { withTraffic } from './harness.js';
import { type Benchmark, figure, figuresFor, median, round } from './result.js';

const PICTURES = 30;
const MODEL = 'echo';
const JOBS = { thumbnails: 600, web: 200 } as const;

export const workers: Benchmark = (asked) => {
  const echo = { name: MODEL, fixedMs: 0, eachMs: 0, plans: ['whole' as const], maxWholePixels: 13_000_000 };
  return withTraffic({ models: [echo], progress: asked.progress }, (parts, traffic) => {
    const cases = CORPORA.flatMap((corpus) => (corpus.name === 'camera' ? [] : [{ name: corpus.name, corpus }]));
    return figuresFor(cases, asked, async ({ name, corpus }) => {
      const pictures = await uploadPictures(parts, corpus, PICTURES);
      const spent = { one: [] as number[], four: [] as number[] };
      for (let i = 0; i < asked.rounds; i++) {
        spent.one.push(await cpuOfJob(parts, traffic, 1, pictures, JOBS[name]));
        spent.four.push(await cpuOfJob(parts, traffic, 4, pictures, JOBS[name]));
      }
      const [one, four] = [median(spent.one), median(spent.four)];
      const detail = { cpuMs: { one: round(one), four: round(four) }, rounds: asked.rounds };
      return figure(`workers.${name}`, one / four, '>=', 0.95, detail);
    });
  });
};

/** Milliseconds of all workers together, for one job. */
async function cpuOfJob(parts: Parts, traffic: Traffic, count: number, pictures: readonly Uploaded[], many: number) {
  const run = Math.random().toString(36).slice(2);
  const jobs = (kind: string, length: number) =>
    Array.from({ length }, (_, i): JobMessage => {
      const { uri = '' } = pictures[i % pictures.length] ?? {};
      return { jobId: `workers.${run}.${kind}.${i}`, operations: [MODEL], input: { uri }, output: { format: 'jpeg' } };
    });
  const running = await Promise.all(Array.from({ length: count }, () => imagen('imagen', 'unary').start(parts)));
  try {
    // Each worker compiles its own code: each gets as many jobs to warm up as one alone.
    await traffic.through(jobs('warm', (many / 2) * count));
    const cpu = () => running.reduce((sum, { pid }) => sum + cpuOf(pid), 0);
    const before = cpu();
    await traffic.through(jobs('counted', many));
    return (cpu() - before) / many;
  } finally {
    await Promise.all(running.map(({ stop }) => stop()));
  }
}
