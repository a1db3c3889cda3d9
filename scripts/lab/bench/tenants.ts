/**
 * What a tenant's single job waits beside another tenant's 10,000 jobs, against what it waits alone. On the emulator, which
 * has no filters, a topic of its own takes the place of the tenant's filtered subscription.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureJobsSubscription, ensureTopic } from '../../../src/adapters/pubsub/admin.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import type { JobMessage } from '../../../src/domain/job.js';
import { until } from '../../dev/until.js';
import type { Parts } from '../parts.js';
import type { StandIn } from '../make-models.js';
import type { Traffic } from '../traffic.js';
import { picture } from './corpus.js';
import { withTraffic, withWorkers } from './harness.js';
import { type Benchmark, figure, figuresFor, mean, quantile, round, simulated } from './result.js';

/** Fewer are for a first look: then the figure is not that of the goal. */
const CROWD = Number(process.env.BENCH_CROWD ?? 10_000);
const SINGLES = 20;
/** Of the crowd, before the first single job: by then the workers have read what the emulator, without flow control, sends at once. */
const BEGUN = 100;
const TOPIC = 'bench-tenant';
const SUBSCRIPTION = 'bench-tenant-worker';

/** A batch of the crowd's thumbnails takes some 250 ms, and the single photograph, which is of another size, 440 ms. */
const CROWD_SIZE = { width: 160, height: 120 };
const SINGLE_SIZE = { width: 1024, height: 768 };

const model = (name: string, instances: number): StandIn => ({
  ...{ name, instances, fixedMs: 200, eachMs: 20, plans: ['whole'], maxWholePixels: 13_000_000 },
});

/**
 * Four workers have an instance each, and places for one batch each: Triton takes the requests of all workers in the order of
 * their arrival, so what they send beyond that would wait there, whoever it is for.
 */
const CASES = [
  { name: 'one', workers: 1, model: model('one', 1), places: {} },
  { name: 'four', workers: 4, model: model('four', 4), places: { IMAGEN_MAX_JOBS: '8' } },
];

/** Each case starts its own stack, because the next case's workers would take the jobs of the crowd that are left. */
export const tenants: Benchmark = (asked) =>
  figuresFor(CASES, asked, (one) =>
    withTraffic({ models: [one.model], progress: asked.progress }, (parts, traffic) => beside(parts, traffic, one)),
  );

async function beside(parts: Parts, traffic: Traffic, { name, workers, model, places }: (typeof CASES)[number]) {
  const { env } = parts;
  await openSecond(parts);
  const crowd = await parts.upload(`${name}/crowd.jpg`, await picture(CROWD_SIZE));
  const single = await parts.upload(`${name}/single.jpg`, await picture(SINGLE_SIZE));
  const subscriptions = `${env.IMAGEN_JOBS_SUBSCRIPTIONS},${SUBSCRIPTION}`;
  const withSecond = { ...parts, env: { ...env, ...places, IMAGEN_JOBS_SUBSCRIPTIONS: subscriptions } };
  return withWorkers(withSecond, workers, async () => {
    const jobsOf = (run: string, tenant: string, count: number, uri: string) =>
      Array.from({ length: count }, (_, i): JobMessage => ({
        ...{ jobId: `${name}.${run}.${i}`, operations: [model.name], input: { uri }, tenant },
        output: { format: 'jpeg' },
      }));
    await traffic.through(jobsOf('warm', 'crowd', 50 * workers, crowd));
    await waitsOf(parts, traffic, jobsOf('warm-single', 'single', SINGLES, single));
    const alone = await waitsOf(parts, traffic, jobsOf('alone', 'single', SINGLES, single));

    const before = traffic.ended.length;
    await traffic.publish(jobsOf('crowd', 'crowd', CROWD, crowd));
    await traffic.untilEnded(before + BEGUN);
    const crowded = await waitsOf(parts, traffic, jobsOf('beside', 'single', SINGLES, single));
    const left = before + CROWD + SINGLES - traffic.ended.length;
    if (left <= 0) throw new Error('the crowd was over too soon');
    const detail = {
      ...{ simulated, crowd: CROWD, left, workers },
      ...{ alone: shown(alone), beside: shown(crowded) },
    };
    return figure(`tenants.${name}`, mean(crowded) / mean(alone), '<=', 2, detail);
  });
}

async function openSecond({ env }: Parts): Promise<void> {
  const channel = new PubSubChannel({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.PUBSUB_EMULATOR_HOST });
  const deadLetterTopic = env.IMAGEN_DEAD_LETTER_TOPIC;
  await ensureTopic(channel, TOPIC);
  await ensureJobsSubscription(channel, SUBSCRIPTION, { topic: TOPIC, deadLetterTopic, maxDeliveryAttempts: 10 });
  channel.close();
}

/** Publishes one job after the other, each when the one before has ended. @returns from publish to completion, in milliseconds */
async function waitsOf({ pubsub }: Parts, traffic: Traffic, jobs: readonly JobMessage[]): Promise<number[]> {
  const waits: number[] = [];
  for (const job of jobs) {
    const since = performance.now();
    await pubsub.topic(TOPIC).publishMessage({ data: Buffer.from(JSON.stringify(job)) });
    const end = () => traffic.ended.findLast(({ completion }) => completion.jobId === job.jobId);
    await until(() => end() !== undefined, { everyMs: 5, limitMs: 60_000, what: `${job.jobId} has ended` });
    const ended = end();
    if (ended?.completion.status !== 'succeeded') throw new Error(JSON.stringify(ended?.completion));
    waits.push(ended.at - since);
    await sleep(Math.random() * 100); // so that they do not always come at the same moment of a batch
  }
  return waits;
}

const shown = (waits: readonly number[]) => ({ meanMs: round(mean(waits)), p95Ms: Math.round(quantile(waits, 0.95)) });
