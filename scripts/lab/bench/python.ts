/**
 * Is the worker worth its processor? Jobs a second and processor time a job, beside the workers that one would write instead
 * (peers/): a plain Python worker with 1, 10 and 32 threads, a tuned one, and the least that a Node worker can do. All of them
 * get the same jobs from the same parts, in turns. The models sleep for a launch, or not at all (`echo`), and give their
 * input back; a job is one request of the whole picture.
 */
import type { JobMessage } from '../../../src/domain/job.js';
import { noProgress } from '../../dev/progress.js';
import type { Parts } from '../parts.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { type Contender, cpuOf, imagen, peer, peersPython } from './contenders.js';
import { CORPORA, type Corpus, pictureMaker, type Uploaded } from './corpus.js';
import { withTraffic } from './harness.js';
import { type Benchmark, type Figure, figure, figuresFor, median, reported, round } from './result.js';

const LAUNCHES = [0, 5, 45];
/** Jobs of one run. The ones before them warm up; they count neither for the rate nor for the processor. */
const JOBS: Readonly<Record<Corpus['name'], { readonly warm: number; readonly counted: number }>> = {
  thumbnails: { warm: 800, counted: 600 },
  web: { warm: 250, counted: 200 },
  camera: { warm: 30, counted: 40 },
};
const PICTURES = 30;
const LARGEST = 13_000_000;

const nameOf = (launchMs: number) => (launchMs === 0 ? 'echo' : `launch${launchMs}`);
const MODELS = LAUNCHES.map((fixedMs): StandIn => {
  return { name: nameOf(fixedMs), fixedMs, eachMs: 0, plans: ['whole'], maxWholePixels: LARGEST };
});

const IMAGEN = 'imagen';
const IMAGEN_SHARED = 'imagen over shared memory';
const PLAIN = ['1', '10', '32'].map((threads) => ({ name: `Python, threads: ${threads}`, threads }));
const TUNED = 'Python, tuned';
const TUNED_SHARED = 'Python, tuned, over shared memory';
const BARE = 'Node, bare';

const contenders = (python: string): readonly Contender[] => [
  imagen(IMAGEN, 'unary'),
  imagen(IMAGEN_SHARED, 'shm'),
  ...PLAIN.map(({ name, threads }) => peer(name, python, 'plain.py', { THREADS: threads })),
  peer(TUNED, python, 'tuned.py'),
  peer(TUNED_SHARED, python, 'tuned.py', { SHARED_MEMORY: '1' }),
  peer(BARE, process.execPath, 'bare.js'),
];

interface Measured {
  readonly jobsPerSecond: number;
  /** Processor time of the contender's process for one job, in milliseconds. */
  readonly cpuMs: number;
}

interface Cell {
  readonly name: string;
  readonly corpus: Corpus;
  readonly model: string;
}

async function measure(
  parts: Parts,
  traffic: Traffic,
  contender: Contender,
  cell: Cell,
  pictures: readonly Uploaded[],
) {
  const { warm, counted } = JOBS[cell.corpus.name];
  const run = Math.random().toString(36).slice(2);
  const jobs = (kind: string, many: number) =>
    Array.from({ length: many }, (_, i): JobMessage => {
      const { uri = '' } = pictures[i % pictures.length] ?? {};
      const output = { format: 'jpeg', quality: 85 } as const;
      return { jobId: `${cell.model}.${run}.${kind}.${i}`, operations: [cell.model], input: { uri }, output };
    });
  const running = await contender.start(parts);
  try {
    await traffic.through(jobs('warm', warm));
    const cpu = cpuOf(running.pid);
    const { begin, ended } = await traffic.through(jobs('counted', counted));
    const failed = ended.filter(({ completion }) => completion.status !== 'succeeded');
    if (failed.length > 0) throw new Error(`${contender.name}: ${failed.length} jobs failed`);
    const seconds = ((ended.at(-1)?.at ?? NaN) - begin) / 1000;
    return { jobsPerSecond: counted / seconds, cpuMs: (cpuOf(running.pid) - cpu) / counted } satisfies Measured;
  } finally {
    await running.stop();
  }
}

/**
 * Every run gets parts of its own, because fake-gcs-server searches its objects one by one: the more there are, the longer each
 * call takes. Each round begins with another contender.
 */
export const python: Benchmark = async (asked) => {
  const all = contenders(await peersPython((text) => asked.progress.say(text)));
  const makers = new Map<Corpus, ReturnType<typeof pictureMaker>>();
  const cells = CORPORA.flatMap((corpus) =>
    LAUNCHES.map((launchMs): Cell => ({ name: `${corpus.name}.${nameOf(launchMs)}`, corpus, model: nameOf(launchMs) })),
  );
  return figuresFor(cells, asked, async (cell) => {
    const maker = makers.get(cell.corpus) ?? pictureMaker(cell.corpus, PICTURES);
    makers.set(cell.corpus, maker);
    const upload = await maker;
    const measured = new Map<string, Measured[]>(all.map(({ name }) => [name, []]));
    for (let i = 0; i < asked.rounds; i++) {
      for (const contender of [...all.slice(i % all.length), ...all.slice(0, i % all.length)]) {
        const one = await withTraffic({ models: MODELS, progress: noProgress }, async (parts, traffic) =>
          measure(parts, traffic, contender, cell, await upload(parts)),
        );
        asked.progress.say(
          `${cell.name}: ${contender.name}: ${round(one.jobsPerSecond)} jobs/s, ${round(one.cpuMs)} ms`,
        );
        measured.get(contender.name)?.push(one);
      }
    }
    return figuresOf(cell, measured, asked.rounds);
  });
};

function figuresOf(
  { name, corpus, model }: Cell,
  measured: ReadonlyMap<string, readonly Measured[]>,
  rounds: number,
): Figure[] {
  const rate = (who: string) => median((measured.get(who) ?? []).map(({ jobsPerSecond }) => jobsPerSecond));
  const cpu = (who: string) => median((measured.get(who) ?? []).map(({ cpuMs }) => cpuMs));
  const rows = [...measured.keys()].map((who) => {
    return { who, jobsPerSecond: round(rate(who)), cpuMs: round(cpu(who)) };
  });
  const detail = { simulated: 'the models sleep for their launch', rounds, rows };
  const plain = PLAIN.map((one) => one.name);
  const best = Math.max(...[...plain, TUNED].map(rate));
  const bestShared = Math.max(best, rate(TUNED_SHARED));
  const cheapest = Math.min(...plain.map(cpu));
  const isEcho = model === nameOf(0);
  const figures = [
    figure(`python.${name}`, rate(IMAGEN) / best, '>=', isEcho && corpus.name === 'thumbnails' ? 1.3 : 1, detail),
    figure(`python.${name}.shm`, rate(IMAGEN_SHARED) / bestShared, '>=', isEcho ? 1.3 : 1, {}),
    figure(`python.${name}.cpu`, cpu(IMAGEN) / cheapest, '<=', corpus.name === 'web' ? 1.1 : 1, {}),
    figure(`python.${name}.shm.cpu`, cpu(IMAGEN_SHARED) / cheapest, '<=', 0.7, {}),
    figure(`python.${name}.floor`, cpu(IMAGEN) / cpu(BARE), '<=', 1.3, {}),
  ];
  const alone = rate(IMAGEN) / rate(plain[0] ?? '');
  // Where the GPU's time is longer than the rest of a job, batches decide.
  const isBound = model === nameOf(Math.max(...LAUNCHES)) && corpus.name !== 'camera';
  return [
    ...figures,
    isBound ? figure(`python.${name}.alone`, alone, '>=', 3, {}) : reported(`python.${name}.alone`, alone, {}),
  ];
}
