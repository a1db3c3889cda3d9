/**
 * Do batches form with pictures of mixed sizes, and is what margins and padding cost won back?
 * The whole path on real parts; the models sleep instead of computing.
 */
import type { Progress } from '../../dev/progress.js';
import { CORPORA, type Corpus, picture, type Sized, sizesOf } from './corpus.js';
import { type Counted, type Ground, openGround } from './ground.js';
import type { StandIn } from './make-models.js';
import { type Figure, figure, reported, round } from './result.js';

const PICTURES = 200;
const SIMULATED = 'the model sleeps instead of computing';

/** The case that the project was begun for: a network with a fixed input, whose launch costs nine times an image. */
const FIXED_EACH_MS = 50;
const FIXED_SIDE = 512;
const fixed = (name: string, batching: boolean): StandIn => ({
  ...{ name, batching, side: FIXED_SIDE, fixedMs: 9 * FIXED_EACH_MS, eachMs: FIXED_EACH_MS },
  parameters: { 'imagen.plans': '["fit"]', 'imagen.fit_size': `${FIXED_SIDE}x${FIXED_SIDE}` },
});

/** A network of any size, with a dear, an even and a cheap launch. */
const EACH_MS = 5;
const CURVES = [
  { curve: '9b', fixedMs: 9 * EACH_MS },
  { curve: 'b', fixedMs: EACH_MS },
  { curve: 'b/4', fixedMs: EACH_MS / 4 },
] as const;
const LARGEST = 13_000_000;
const any = (name: string, fixedMs: number, plans: string, largest = LARGEST): StandIn => ({
  ...{ name, batching: true, fixedMs, eachMs: EACH_MS },
  parameters: {
    'imagen.plans': plans,
    'imagen.tile_sizes': '[128,256,512]',
    'imagen.margin': '10',
    'imagen.max_whole_pixels': String(largest),
  },
});
const nameOf = (kind: string, curve: string) => `${kind}_${curve.replace('/', '_')}`;

const MODELS: readonly StandIn[] = [
  fixed('fixed_batched', true),
  fixed('fixed_alone', false),
  ...CURVES.flatMap(({ curve, fixedMs }) => [
    any(nameOf('planned', curve), fixedMs, '["tile","whole"]'),
    any(nameOf('whole', curve), fixedMs, '["whole"]'),
    any(nameOf('bounded', curve), fixedMs, '["tile","whole"]', 1_000_000),
    any(nameOf('tiled', curve), fixedMs, '["tile"]'),
  ]),
];

export async function batching(progress: Progress, only: readonly string[]): Promise<Figure[]> {
  const wanted = (name: string) => only.length === 0 || only.some((prefix) => name.startsWith(prefix));
  const ground = await openGround(MODELS, progress);
  const figures: Figure[] = [];
  const add = (one: Figure) => {
    figures.push(one);
    progress.say(`${one.name}: ${one.ratio}`);
  };
  try {
    for (const corpus of CORPORA) {
      const cells = [
        ...(corpus.name === 'web' && wanted('fixed') ? ['fixed'] : []),
        ...CURVES.map(({ curve }) => `any.${corpus.name}.${curve}`).filter(wanted),
      ];
      if (cells.length === 0) continue;
      progress.say(`making ${PICTURES} pictures: ${corpus.name}`);
      const pictures = await upload(ground, corpus);
      if (cells.includes('fixed')) (await fixedFigures(ground, pictures)).forEach(add);
      for (const { curve } of CURVES.filter(({ curve }) => cells.includes(`any.${corpus.name}.${curve}`))) {
        (await anyFigures(ground, corpus, curve, pictures)).forEach(add);
      }
    }
  } finally {
    await ground.close();
  }
  return figures;
}

interface Uploaded extends Sized {
  readonly uri: string;
}

async function upload(ground: Ground, corpus: Corpus): Promise<Uploaded[]> {
  const uploaded: Uploaded[] = [];
  for (const size of sizesOf(corpus, PICTURES)) {
    const uri = await ground.upload(`${corpus.name}/${size.width}x${size.height}.jpg`, await picture(size));
    uploaded.push({ ...size, uri });
  }
  return uploaded;
}

interface Measured extends Counted {
  readonly jobsPerSecond: number;
  readonly plans: Readonly<Record<string, number>>;
  /** What the planner believes in the end: milliseconds of a launch, and of 256 × 256 pixels. */
  readonly believed: { readonly fixedMs: number; readonly eachMs: number };
}

/** All pictures through one model, by a worker that knows nothing of it yet. */
async function measure(ground: Ground, model: string, pictures: readonly Uploaded[]): Promise<Measured> {
  await ground.freshWorker();
  const before = await ground.counted(model);
  const { seconds, completions } = await ground.run(
    pictures.map(({ uri }, i) => ({
      job: {
        jobId: `${model}.${i}.${Math.random().toString(36).slice(2)}`,
        operations: [model],
        input: { uri },
        output: { format: 'jpeg', maxWidth: 256 },
      },
    })),
  );
  const after = await ground.counted(model);
  const plans: Record<string, number> = {};
  for (const step of completions.flatMap(({ steps = [] }) => steps)) plans[step.plan] = (plans[step.plan] ?? 0) + 1;
  return {
    requests: after.requests - before.requests,
    executions: after.executions - before.executions,
    busyMs: after.busyMs - before.busyMs,
    jobsPerSecond: pictures.length / seconds,
    plans,
    believed: {
      fixedMs: round((await ground.metric('imagen_planner_launch_seconds', model)) * 1000),
      eachMs: round((await ground.metric('imagen_planner_megapixel_seconds', model)) * 65.536),
    },
  };
}

async function fixedFigures(ground: Ground, pictures: readonly Uploaded[]): Promise<Figure[]> {
  const alone = await measure(ground, 'fixed_alone', pictures);
  const batched = await measure(ground, 'fixed_batched', pictures);
  const detail = {
    simulated: SIMULATED,
    pictures: pictures.length,
    jobsPerSecond: { batched: round(batched.jobsPerSecond), alone: round(alone.jobsPerSecond) },
  };
  return [
    figure('batching.fixed', batched.jobsPerSecond / alone.jobsPerSecond, '>=', 4.3, detail),
    figure('batching.fixed.batch', batched.requests / batched.executions, '>=', 7, detail),
  ];
}

async function anyFigures(
  ground: Ground,
  corpus: Corpus,
  curve: string,
  pictures: readonly Uploaded[],
): Promise<Figure[]> {
  const whole = await measure(ground, nameOf('whole', curve), pictures);
  const planned = await measure(ground, nameOf('planned', curve), pictures);
  const useful = pictures.reduce((sum, { width, height }) => sum + width * height, 0);
  const fixedMs = CURVES.find((one) => one.curve === curve)?.fixedMs ?? 0;
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
  const detail = {
    simulated: SIMULATED,
    pictures: pictures.length,
    planned: detailOf(planned),
    whole: detailOf(whole),
  };
  const figures = [figure(name, planned.busyMs / whole.busyMs, '<=', goal, detail)];
  for (const [kind, suffix] of [
    ...(corpus.to > 1 ? [['bounded', 'whole_to_1_megapixel'] as const] : []),
    ...(corpus.to < 4 ? [['tiled', 'tiles_only'] as const] : []),
  ]) {
    const other = await measure(ground, nameOf(kind, curve), pictures);
    const more = { simulated: SIMULATED, pictures: pictures.length, ...detailOf(other) };
    figures.push(reported(`${name}.${suffix}`, other.busyMs / whole.busyMs, more));
  }
  return figures;
}
