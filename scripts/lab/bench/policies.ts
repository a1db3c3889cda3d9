/** What Triton's levels of priority and limits of the queue cost (docs/decisions/0019-no-queue-policies.md). */
import type { StandIn } from '../make-models.js';
import { THUMBNAILS, uploadPictures } from './corpus.js';
import { type Harness, jobOf, withHarness } from './harness.js';
import { type Benchmark, figuresFor, quantile, reported, round } from './result.js';

const PICTURES = 60;
const FIXED_MS = 40;
const EACH_MS = 5;

const standIn = (policies: boolean, instances: number): StandIn => ({
  ...{ name: `${policies ? 'policies' : 'plain'}_${instances}`, policies, instances },
  ...{ fixedMs: FIXED_MS, eachMs: EACH_MS, plans: ['tile', 'whole'], tileSizes: [256], margin: 10 },
});
const MODELS = [standIn(false, 1), standIn(true, 1), standIn(false, 2), standIn(true, 2)];

/** When each job is published: all at once, a steady trickle, now and then a few together. */
const LOADS = {
  burst: () => 0,
  trickle: (i: number) => i * 60,
  threes: (i: number) => Math.floor(i / 3) * 500,
};

const CASES = (Object.keys(LOADS) as (keyof typeof LOADS)[]).flatMap((load) =>
  [1, 2].map((instances) => ({ name: `${load}.${instances}`, load, instances })),
);

export const policies: Benchmark = (asked) =>
  withHarness(MODELS, asked.progress, async (harness) => {
    const uris = (await uploadPictures(harness, THUMBNAILS, PICTURES)).map(({ uri }) => uri);
    return figuresFor(CASES, asked, async ({ name, load, instances }) => {
      const plain = await measure(harness, `plain_${instances}`, uris, load);
      const limited = await measure(harness, `policies_${instances}`, uris, load);
      return reported(`policies.${name}`, limited.p95Ms / plain.p95Ms, { instances, plain, limited });
    });
  });

async function measure(harness: Harness, model: string, uris: readonly string[], load: keyof typeof LOADS) {
  await harness.freshWorkers();
  const jobs = uris.map((uri, i) => ({
    job: jobOf(`${model}.${load}.${i}`, model, uri, { output: { format: 'jpeg' } }),
    atMs: LOADS[load](i),
  }));
  const { seconds, completions } = await harness.run(jobs);
  const waits = completions.map(({ timingsMs }) => timingsMs?.inference ?? NaN);
  return { seconds: round(seconds), medianMs: quantile(waits, 0.5), p95Ms: quantile(waits, 0.95) };
}
