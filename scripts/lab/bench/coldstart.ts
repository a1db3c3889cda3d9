/** How soon does a new worker work? From the start of its process to the end of its first job, beside plain Python. */
import type { Parts } from '../parts.js';
import type { Traffic } from '../traffic.js';
import { type Contender, imagen, peer, peersPython } from './contenders.js';
import { THUMBNAILS, uploadPictures } from './corpus.js';
import { jobOf, withTraffic } from './harness.js';
import { type Benchmark, figure, median, reported } from './result.js';

const MODEL = 'echo';

export const coldstart: Benchmark = (asked) => {
  const echo = { name: MODEL, fixedMs: 0, eachMs: 0, plans: ['whole' as const], maxWholePixels: 13_000_000 };
  return withTraffic({ models: [echo], progress: asked.progress }, async (parts, traffic) => {
    const plain = peer('Python', await peersPython((text) => asked.progress.say(text)), 'plain.py', { THREADS: '10' });
    const contenders = [imagen('imagen', 'unary'), plain, peer('Node, bare', process.execPath, 'bare.js')];
    const [first] = await uploadPictures(parts, THUMBNAILS, 1);
    const took = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
    for (let i = -1; i < asked.rounds; i++) {
      for (const one of contenders) {
        const ms = await firstJob(parts, traffic, one, first?.uri ?? '');
        // The first round reads the files of each from the disk.
        if (i >= 0) took.get(one.name)?.push(ms);
      }
    }
    const of = (name: string) => median(took.get(name) ?? []);
    const detail = { ms: Object.fromEntries([...took.keys()].map((name) => [name, Math.round(of(name))])) };
    return [
      figure('coldstart', of('imagen') / of('Python'), '<=', 0.6, { ...detail, rounds: asked.rounds }),
      reported('coldstart.bare', of('imagen') / of('Node, bare'), {}),
    ];
  });
};

/** In milliseconds. The job is in the queue before the process starts. */
async function firstJob(parts: Parts, traffic: Traffic, contender: Contender, uri: string): Promise<number> {
  const before = traffic.ended.length;
  const jobId = `cold.${Math.random().toString(36).slice(2)}`;
  await traffic.publish([jobOf(jobId, MODEL, uri, { output: { format: 'jpeg' } })]);
  const begunAt = performance.now();
  const running = await contender.start(parts);
  try {
    await traffic.untilEnded(before + 1);
    return (traffic.ended.at(-1)?.at ?? NaN) - begunAt;
  } finally {
    await running.stop();
  }
}
