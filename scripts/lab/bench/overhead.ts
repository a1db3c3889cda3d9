/** What does the worker add to the codecs? Its processor time a job, beside sharp alone on the same pictures. */
import sharp from 'sharp';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Parts } from '../parts.js';
import type { Traffic } from '../traffic.js';
import { cpuOf, imagen } from './contenders.js';
import { CORPORA, type Corpus, type Sized, picture, type Uploaded, uploadPictures } from './corpus.js';
import { withTraffic } from './harness.js';
import { type Benchmark, figure, figuresFor, median, reported, round } from './result.js';

const PICTURES = 20;
const JOBS: Readonly<Record<Corpus['name'], number>> = { thumbnails: 300, web: 120, camera: 30 };
const GOALS: Readonly<Partial<Record<Corpus['name'], number>>> = { web: 1.5, camera: 1.15 };
const MODEL = 'echo';
const QUALITY = 85;

export const overhead: Benchmark = (asked) => {
  const echo = { name: MODEL, fixedMs: 0, eachMs: 0, plans: ['whole' as const], maxWholePixels: 13_000_000 };
  return withTraffic({ models: [echo], progress: asked.progress }, (parts, traffic) =>
    figuresFor(CORPORA, asked, async (corpus) => {
      const pictures = await uploadPictures(parts, corpus, PICTURES);
      const spent = { worker: [] as number[], sharp: [] as number[] };
      for (let i = 0; i < asked.rounds; i++) {
        spent.worker.push(await ofWorker(parts, traffic, corpus, pictures));
        spent.sharp.push(await ofSharp(corpus, pictures));
      }
      const [worker, alone] = [median(spent.worker), median(spent.sharp)];
      const detail = { cpuMs: { worker: round(worker), sharp: round(alone) }, rounds: asked.rounds, transport: 'shm' };
      const [name, ratio, goal] = [`overhead.${corpus.name}`, worker / alone, GOALS[corpus.name]];
      return goal === undefined ? reported(name, ratio, detail) : figure(name, ratio, '<=', goal, detail);
    }),
  );
};

async function ofWorker(parts: Parts, traffic: Traffic, corpus: Corpus, pictures: readonly Uploaded[]) {
  const run = Math.random().toString(36).slice(2);
  const jobs = (kind: string, count: number) =>
    Array.from({ length: count }, (_, i): JobMessage => {
      const { uri = '' } = pictures[i % pictures.length] ?? {};
      const output = { format: 'jpeg', quality: QUALITY } as const;
      return { jobId: `overhead.${run}.${kind}.${i}`, operations: [MODEL], input: { uri }, output };
    });
  const count = JOBS[corpus.name];
  const worker = await imagen('imagen', 'shm').start(parts);
  try {
    await traffic.through(jobs('warm', count / 2));
    const before = cpuOf(worker.pid);
    await traffic.through(jobs('counted', count));
    return (cpuOf(worker.pid) - before) / count;
  } finally {
    await worker.stop();
  }
}

/** Decodes and encodes the pictures, one after another, as the worker sets sharp up. */
async function ofSharp(corpus: Corpus, sizes: readonly Sized[]): Promise<number> {
  sharp.cache(false);
  sharp.concurrency(1);
  const files = await Promise.all(sizes.map(picture));
  const through = async (i: number) => {
    const { data, info } = await sharp(files[i % files.length])
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    const options = { quality: QUALITY, optimiseCoding: false };
    await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg(options)
      .toBuffer();
  };
  const count = JOBS[corpus.name];
  for (let i = 0; i < count / 2; i++) await through(i);
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) await through(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}
