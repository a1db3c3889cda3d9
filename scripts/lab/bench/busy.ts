/**
 * Does the GPU ever wait while there is work? A saturated run on sleeping stand-ins that share one GPU, with the settings of
 * the shipped models and with others; and how long an interactive job waits beside it.
 */
import type { Parts } from '../parts.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { THUMBNAILS, type Uploaded, uploadPictures } from './corpus.js';
import { jobOf, withTraffic, withWorkers } from './harness.js';
import { type Benchmark, figure, figuresFor, median, quantile, reported, round, simulated } from './result.js';
import { setTimeout as sleep } from 'node:timers/promises';

const PICTURES = 40;
const BATCH_JOBS = 300;
const INTERACTIVE_JOBS = 40;
const INTERACTIVE_EVERY_MS = 250;
const OUTPUT = { format: 'jpeg' } as const;

const standIn = (name: string, settings: Partial<StandIn>): StandIn => ({
  ...{ name, fixedMs: 45, eachMs: 20, plans: ['tile', 'whole'], tileSizes: [256], margin: 10, gpu: true },
  ...settings,
});
/**
 * `shipped`: what the models have, neither priorities nor limits at Triton. `limited`: what they had until decision 19.
 * `two`: that, with two instances, which take twice the memory.
 */
const MODELS = {
  limited: standIn('limited', { policies: true }),
  two: standIn('two', { policies: true, instances: 2 }),
  shipped: standIn('shipped', {}),
};
type Kind = keyof typeof MODELS;
const CASES = [1, 4].map((workers) => ({ name: `workers.${workers}`, workers }));

interface Measured {
  /** Share of the time from the first execution to the last in which the GPU computes. */
  readonly busy: number;
  readonly interactiveP95Ms: number;
  readonly interactiveMedianMs: number;
  readonly seconds: number;
}

export const busy: Benchmark = (asked) =>
  withTraffic({ models: Object.values(MODELS), progress: asked.progress }, async (parts, traffic) => {
    const pictures = await uploadPictures(parts, THUMBNAILS, PICTURES);
    return figuresFor(CASES, asked, async ({ name, workers }) => {
      const runs: Record<Kind, Measured[]> = { limited: [], two: [], shipped: [] };
      for (let i = 0; i < asked.rounds; i++) {
        for (const kind of Object.keys(MODELS) as Kind[]) {
          const one = await withWorkers(parts, workers, () => measure(parts, traffic, kind, pictures));
          asked.progress.say(`${name}: ${kind}: ${JSON.stringify(one)}`);
          runs[kind].push(one);
        }
      }
      const of = (kind: Kind, key: keyof Measured) => median(runs[kind].map((one) => one[key]));
      const row = (kind: Kind) => ({
        ...{ busy: of(kind, 'busy'), interactiveP95Ms: of(kind, 'interactiveP95Ms') },
        ...{ interactiveMedianMs: of(kind, 'interactiveMedianMs'), seconds: of(kind, 'seconds') },
      });
      const detail = {
        simulated,
        rounds: asked.rounds,
        shipped: row('shipped'),
        limited: row('limited'),
        two: row('two'),
      };
      const wait = of('shipped', 'interactiveP95Ms') / of('limited', 'interactiveP95Ms');
      return [
        figure(`busy.${name}`, of('shipped', 'busy'), '>=', 0.95, detail),
        figure(`busy.${name}.interactive`, wait, '<=', 1, {}),
        reported(`busy.${name}.limited`, of('limited', 'busy'), {}),
      ];
    });
  });

async function measure(parts: Parts, traffic: Traffic, kind: Kind, pictures: readonly Uploaded[]): Promise<Measured> {
  const run = Math.random().toString(36).slice(2);
  const uriOf = (i: number) => pictures[i % pictures.length]?.uri ?? '';
  const job = (name: string, i: number, priority: 'batch' | 'interactive') =>
    jobOf(`${kind}.${run}.${name}.${i}`, kind, uriOf(i), { output: OUTPUT, priority });
  await traffic.through(Array.from({ length: 24 }, (_, i) => job('warm', i, 'batch')));
  const [before, earlier, begunAt] = [traffic.ended.length, (await parts.executions()).length, performance.now()];
  const published = new Map<string, number>();
  await traffic.publish(Array.from({ length: BATCH_JOBS }, (_, i) => job('batch', i, 'batch')));
  for (let i = 0; i < INTERACTIVE_JOBS; i++) {
    await sleep(INTERACTIVE_EVERY_MS);
    const one = job('interactive', i, 'interactive');
    published.set(one.jobId, performance.now());
    await traffic.publish([one]);
  }
  await traffic.untilEnded(before + BATCH_JOBS + INTERACTIVE_JOBS);
  const ended = traffic.ended.slice(before);
  const waits = ended.flatMap(({ completion: { jobId = '' }, at }) => {
    const since = published.get(jobId);
    return since === undefined ? [] : [at - since];
  });
  const computed = (await parts.executions()).slice(earlier);
  const [from, to] = [computed[0]?.begun ?? NaN, computed.at(-1)?.ended ?? NaN];
  const spent = computed.reduce((sum, one) => sum + one.ended - one.begun, 0);
  return {
    busy: round(spent / (to - from)),
    interactiveP95Ms: Math.round(quantile(waits, 0.95)),
    interactiveMedianMs: Math.round(median(waits)),
    seconds: round((performance.now() - begunAt) / 1000),
  };
}
