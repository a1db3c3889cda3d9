/**
 * What Triton's levels of priority and limits of the queue cost: with them, Triton 2.51 does not fetch the next batch
 * while one is running, and may notice half a second late that an instance is free.
 */
import type { Progress } from '../../dev/progress.js';
import { corpusOf, picture, sizesOf } from './corpus.js';
import { type Ground, openGround } from './ground.js';
import type { StandIn } from './make-models.js';
import { type Figure, reported, round } from './result.js';

const PICTURES = 60;
const FIXED_MS = 40;
const EACH_MS = 5;

const standIn = (policies: boolean, instances: number): StandIn => ({
  ...{ name: `${policies ? 'policies' : 'plain'}_${instances}`, batching: true, policies, instances },
  ...{ fixedMs: FIXED_MS, eachMs: EACH_MS },
  parameters: { 'imagen.plans': '["tile","whole"]', 'imagen.tile_sizes': '[256]', 'imagen.margin': '10' },
});
const MODELS = [standIn(false, 1), standIn(true, 1), standIn(false, 2), standIn(true, 2)];

/** When each job is published: all at once, a steady trickle, now and then a few together. */
const LOADS = {
  burst: () => 0,
  trickle: (i: number) => i * 60,
  threes: (i: number) => Math.floor(i / 3) * 500,
};

export async function policies(progress: Progress): Promise<Figure[]> {
  const ground = await openGround(MODELS, progress);
  const figures: Figure[] = [];
  try {
    const uris: string[] = [];
    for (const size of sizesOf(corpusOf('thumbnails'), PICTURES)) {
      uris.push(await ground.upload(`${size.width}x${size.height}.jpg`, await picture(size)));
    }
    for (const load of Object.keys(LOADS) as (keyof typeof LOADS)[]) {
      for (const instances of [1, 2]) {
        const plain = await measure(ground, `plain_${instances}`, uris, load);
        const limited = await measure(ground, `policies_${instances}`, uris, load);
        const name = `policies.${load}.${instances}`;
        figures.push(reported(name, limited.p95Ms / plain.p95Ms, { instances, plain, limited }));
        progress.say(`${name}: ${JSON.stringify({ plain, limited })}`);
      }
    }
  } finally {
    await ground.close();
  }
  return figures;
}

async function measure(ground: Ground, model: string, uris: readonly string[], load: keyof typeof LOADS) {
  await ground.freshWorker();
  const jobs = uris.map((uri, i) => ({
    job: { jobId: `${model}.${load}.${i}`, operations: [model], input: { uri }, output: { format: 'jpeg' as const } },
    atMs: LOADS[load](i),
  }));
  const { seconds, completions } = await ground.run(jobs);
  const waits = completions.map(({ timingsMs }) => timingsMs?.inference ?? NaN).sort((a, b) => a - b);
  const at = (share: number) => waits[Math.floor(waits.length * share)] ?? NaN;
  return { seconds: round(seconds), medianMs: at(0.5), p95Ms: at(0.95) };
}
