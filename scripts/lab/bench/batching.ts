/** Do batches form with pictures of mixed sizes, and do they save more than margins and padding cost? Models sleep. */
import { CORPORA, type Corpus, corpusUploader, THUMBNAILS, type Uploaded, WEB } from './corpus.js';
import { type Harness, jobOf, withHarness } from './harness.js';
import type { StandIn } from '../make-models.js';
import {
  type Asked,
  type Benchmark,
  type Figure,
  figure,
  figuresFor,
  median,
  reported,
  round,
  simulated,
} from './result.js';

const PICTURES = 200;

/** The case that the project was begun for: a network with a fixed input, whose launch costs nine times an image. */
const FIXED_EACH_MS = 50;
const FIXED_SIDE = 512;
const fixed = (name: string, batching: boolean): StandIn => ({
  ...{ name, batching, side: FIXED_SIDE, plans: ['fit'], fixedMs: 9 * FIXED_EACH_MS, eachMs: FIXED_EACH_MS },
});

/** A network of any size, with a dear, an even and a cheap launch. */
const EACH_MS = 5;
const CURVES = [
  { curve: '9b', fixedMs: 9 * EACH_MS },
  { curve: 'b', fixedMs: EACH_MS },
  { curve: 'b/4', fixedMs: EACH_MS / 4 },
] as const;
const LARGEST = 13_000_000;
const any = (name: string, fixedMs: number, plans: StandIn['plans'], maxWholePixels = LARGEST): StandIn => ({
  ...{ name, fixedMs, eachMs: EACH_MS, plans, tileSizes: [128, 256, 512], margin: 10, maxWholePixels },
});
const nameOf = (kind: string, curve: string) => `${kind}_${curve.replace('/', '_')}`;

const MODELS: readonly StandIn[] = [
  fixed('fixed_batched', true),
  fixed('fixed_alone', false),
  ...CURVES.flatMap(({ curve, fixedMs }) => [
    any(nameOf('planned', curve), fixedMs, ['tile', 'whole']),
    any(nameOf('whole', curve), fixedMs, ['whole']),
    any(nameOf('bounded', curve), fixedMs, ['tile', 'whole'], 1_000_000),
    any(nameOf('tiled', curve), fixedMs, ['tile']),
    // Repeats the last row and column itself, so the worker adds no margin.
    { ...any(nameOf('repeats', curve), fixedMs, ['tile', 'whole']), border: 'repeat' as const },
  ]),
];

export const batching: Benchmark = (asked) =>
  withHarness(MODELS, asked.progress, async (harness) => {
    const pictures = corpusUploader(harness, PICTURES);
    const cases = CORPORA.flatMap((corpus) => [
      ...(corpus === WEB ? [{ name: 'fixed', run: async () => fixedFigures(harness, await pictures(corpus)) }] : []),
      ...CURVES.map((one) => ({
        name: `any.${corpus.name}.${one.curve}`,
        run: async () => anyFigures(harness, corpus, one, await pictures(corpus)),
      })),
      ...CURVES.map(({ curve }) => ({
        name: `margin.${corpus.name}.${curve}`,
        run: async () => {
          const uploaded = await pictures(corpus);
          return gpuTime(`batching.margin.${corpus.name}.${curve}`, asked, [
            () => measure(harness, nameOf('planned', curve), uploaded),
            () => measure(harness, nameOf('repeats', curve), uploaded),
          ]);
        },
      })),
      ...CURVES.filter(() => corpus === THUMBNAILS).map(({ curve }) => ({
        name: `workers.${curve}`,
        run: async () => {
          const uploaded = await pictures(corpus);
          return gpuTime(`batching.workers.${curve}`, asked, [
            () => measure(harness, nameOf('planned', curve), uploaded, 4),
            () => measure(harness, nameOf('planned', curve), uploaded, 1),
          ]);
        },
      })),
    ]);
    return figuresFor(cases, asked, ({ run }) => run());
  });

type Measured = Awaited<ReturnType<typeof measure>>;

async function measure(harness: Harness, model: string, pictures: readonly Uploaded[], workers = 1) {
  await harness.freshWorkers(workers);
  const before = await harness.counted(model);
  const output = { format: 'jpeg', maxWidth: 256 } as const;
  const id = (i: number) => `${model}.${i}.${Math.random().toString(36).slice(2)}`;
  const { seconds, completions } = await harness.run(
    pictures.map(({ uri }, i) => ({ job: jobOf(id(i), model, uri, { output }) })),
  );
  const after = await harness.counted(model);
  const plans: Record<string, number> = {};
  for (const step of completions.flatMap(({ steps = [] }) => steps)) plans[step.plan] = (plans[step.plan] ?? 0) + 1;
  return {
    requests: after.requests - before.requests,
    executions: after.executions - before.executions,
    busyMs: after.busyMs - before.busyMs,
    jobsPerSecond: pictures.length / seconds,
    plans,
    /** What the planner believes in the end: milliseconds of a launch, and of 256 × 256 pixels. */
    believed: {
      fixedMs: round((await harness.metric('imagen_planner_launch_seconds', model)) * 1000),
      eachMs: round((await harness.metric('imagen_planner_megapixel_seconds', model)) * 65.536),
    },
  };
}

async function fixedFigures(harness: Harness, pictures: readonly Uploaded[]): Promise<Figure[]> {
  const alone = await measure(harness, 'fixed_alone', pictures);
  const batched = await measure(harness, 'fixed_batched', pictures);
  const jobsPerSecond = { batched: round(batched.jobsPerSecond), alone: round(alone.jobsPerSecond) };
  const detail = { simulated, pictures: pictures.length, jobsPerSecond };
  return [
    figure('batching.fixed', batched.jobsPerSecond / alone.jobsPerSecond, '>=', 4.3, detail),
    figure('batching.fixed.batch', batched.requests / batched.executions, '>=', 7, detail),
  ];
}

async function anyFigures(
  harness: Harness,
  corpus: Corpus,
  { curve, fixedMs }: (typeof CURVES)[number],
  pictures: readonly Uploaded[],
): Promise<Figure[]> {
  const whole = await measure(harness, nameOf('whole', curve), pictures);
  const planned = await measure(harness, nameOf('planned', curve), pictures);
  const useful = pictures.reduce((sum, { width, height }) => sum + width * height, 0);
  const detailOf = (measured: Measured) => ({
    plans: measured.plans,
    meanBatch: round(measured.requests / measured.executions),
    // What the executions cost beyond their launches is what they computed.
    computedToUseful: round(((measured.busyMs - measured.executions * fixedMs) / EACH_MS) * (65_536 / useful)),
    busyMs: Math.round(measured.busyMs),
    believed: measured.believed,
  });
  const goal = corpus.name === 'thumbnails' && curve === '9b' ? 0.5 : 1.05;
  const name = `batching.any.${corpus.name}.${curve}`;
  const detail = { simulated, pictures: pictures.length, planned: detailOf(planned), whole: detailOf(whole) };
  const figures = [figure(name, planned.busyMs / whole.busyMs, '<=', goal, detail)];
  const compare = async (kind: string, suffix: string) => {
    const other = await measure(harness, nameOf(kind, curve), pictures);
    const more = { simulated, pictures: pictures.length, ...detailOf(other) };
    figures.push(reported(`${name}.${suffix}`, other.busyMs / whole.busyMs, more));
  };
  if (corpus.to > 1) await compare('bounded', 'whole_to_1_megapixel');
  if (corpus.to < 4) await compare('tiled', 'tiles_only');
  return figures;
}

/** Compares the GPU time of two measurements, in turns: medians of all rounds, and of how large the batches were. */
async function gpuTime(
  name: string,
  { rounds }: Asked,
  measurements: readonly [() => Promise<Measured>, () => Promise<Measured>],
): Promise<Figure> {
  const runs: [Measured, Measured][] = [];
  for (let i = 0; i < rounds; i++) runs.push([await measurements[0](), await measurements[1]()]);
  const of = (which: 0 | 1) => ({
    busyMs: Math.round(median(runs.map((pair) => pair[which].busyMs))),
    meanBatch: round(median(runs.map((pair) => pair[which].requests / pair[which].executions))),
  });
  const [measured, against] = [of(0), of(1)];
  const detail = { simulated, rounds, pictures: PICTURES, measured, against };
  return figure(name, measured.busyMs / against.busyMs, '<=', 1.1, detail);
}
