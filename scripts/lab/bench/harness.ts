/** Runs benchmarks: starts parts and workers, and publishes each job at its time. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureJobsSubscription, ensureTopic } from '../../../src/adapters/pubsub/admin.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import type { PartId } from '../../dev/parts/part.js';
import type { StackEnv } from '../../dev/stack/env.js';
import { localDir } from '../../dev/stack/paths.js';
import { upStack } from '../../dev/stack/up.js';
import { until } from '../../dev/until.js';
import { metricIn, startWorker, type Worker, type WorkerStart } from '../../dev/workers.js';
import { openParts, type Parts, type PartsOptions } from '../parts.js';
import type { StandIn } from '../make-models.js';
import { openTraffic, type Traffic } from '../traffic.js';

export interface TimedJob {
  readonly job: JobMessage;
  /** When to publish it, in milliseconds from the beginning; at once unless given. */
  readonly atMs?: number;
  /** A queue of its own, as a filtered subscription is; the emulator has no filters. */
  readonly queue?: 'second';
}

export interface GroundOptions extends WorkerStart {
  readonly env?: (env: StackEnv) => Readonly<Record<string, string>>;
}

export type Harness = Awaited<ReturnType<typeof openHarness>>;
export type Outcome = Awaited<ReturnType<typeof runJobs>>;

const SECOND_TOPIC = 'bench-second';
const SECOND_SUBSCRIPTION = 'bench-second-worker';

export const jobOf = (jobId: string, model: string, uri: string, more: Partial<JobMessage> = {}): JobMessage => ({
  ...{ jobId, operations: [model], input: { uri } },
  ...more,
});

export async function withStack<T>(
  parts: readonly PartId[],
  progress: Progress,
  work: (env: StackEnv) => Promise<T>,
): Promise<T> {
  const dir = join(localDir, `bench-${process.pid}`);
  const stack = await upStack({ dir, ports: 'free', parts, pubsub: 'google', progress });
  try {
    return await work(stack.env);
  } finally {
    await stack.down();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Parts and an outsider's traffic, for as long as the work takes. */
export async function withTraffic<T>(
  options: Omit<PartsOptions, 'name'>,
  work: (parts: Parts, traffic: Traffic) => Promise<T>,
): Promise<T> {
  const parts = await openParts({ name: 'bench', ...options });
  const traffic = openTraffic(parts);
  try {
    return await work(parts, traffic);
  } finally {
    await traffic.close();
    await parts.close();
  }
}

/** Runs so many workers beside the work, each with a name of its own. */
export async function withWorkers<T>(parts: Parts, count: number, work: () => Promise<T>): Promise<T> {
  const workers = await startWorkers(parts.env, count);
  try {
    return await work();
  } finally {
    await endWorkers(workers);
  }
}

/** Starts so many workers, each with a name of its own. @throws Error when one does not start; the others have ended then */
async function startWorkers(env: NodeJS.ProcessEnv, count: number, how: WorkerStart = {}): Promise<readonly Worker[]> {
  const workers: Worker[] = [];
  try {
    for (let i = 0; i < count; i++) workers.push(await startWorker({ ...env, HOSTNAME: `worker-${i}` }, how));
    return workers;
  } catch (error) {
    await endWorkers(workers);
    throw error;
  }
}

const endWorkers = (workers: readonly Worker[]) => Promise.all(workers.map(endWorker));

export async function endWorker(worker: Worker): Promise<void> {
  worker.signal('SIGTERM');
  await worker.exit;
}

/** Sends SIGUSR2 to a worker. @returns the JSON that a module preloaded into the worker then writes to the file */
export function toldBy(pid: number, file: string): Promise<unknown> {
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  const told = (): unknown => {
    try {
      return existsSync(file) && JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      return false; // it is being written
    }
  };
  return until(told, { limitMs: 30_000, what: `the worker leaves ${file}` });
}

/** Runs `work` with parts and one worker, which `freshWorkers` restarts. */
export const withHarness = <T>(
  models: readonly StandIn[],
  progress: Progress,
  work: (harness: Harness) => Promise<T>,
  options: GroundOptions = {},
): Promise<T> =>
  withTraffic({ models, progress }, async (parts, traffic) => {
    const harness = await openHarness(parts, traffic, options);
    try {
      return await work(harness);
    } finally {
      await harness.close();
    }
  });

async function openHarness(parts: Parts, traffic: Traffic, { env: more, ...start }: GroundOptions) {
  const { env } = parts;
  const channel = new PubSubChannel({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.PUBSUB_EMULATOR_HOST });
  await ensureTopic(channel, SECOND_TOPIC);
  await ensureJobsSubscription(channel, SECOND_SUBSCRIPTION, {
    ...{ topic: SECOND_TOPIC, deadLetterTopic: env.IMAGEN_DEAD_LETTER_TOPIC, maxDeliveryAttempts: 10 },
  });
  channel.close();
  const subscriptions = `${env.IMAGEN_JOBS_SUBSCRIPTIONS},${SECOND_SUBSCRIPTION}`;
  const workerEnv = { ...env, ...more?.(env), IMAGEN_JOBS_SUBSCRIPTIONS: subscriptions };
  let workers = await startWorkers(workerEnv, 1, start);
  return {
    upload: (name: string, bytes: Buffer) => parts.upload(name, bytes),
    run: (jobs: readonly TimedJob[]) => runJobs(parts, traffic, jobs),
    counted: (model: string) => counted(parts, model),
    metric: async (name: string, model?: string, labels: Readonly<Record<string, string>> = {}) =>
      metricIn((await workers[0]?.metrics()) ?? '', name, { ...(model === undefined ? {} : { model }), ...labels }),
    /** Ends all workers and starts new ones, which have learned nothing yet. */
    async freshWorkers(count = 1) {
      await endWorkers(workers);
      workers = await startWorkers(workerEnv, count, start);
    },
    workerPid: () => workers[0]?.pid ?? 0,
    close: () => endWorkers(workers),
  };
}

/** Publishes the jobs, each at its time, and waits for all completions. @throws Error when one has not succeeded */
async function runJobs({ env, pubsub }: Parts, traffic: Traffic, jobs: readonly TimedJob[]) {
  const topics = { first: pubsub.topic(env.IMAGEN_JOBS_TOPIC), second: pubsub.topic(SECOND_TOPIC) };
  const published = new Map<string, number>();
  const [startedAt, before] = [performance.now(), traffic.ended.length];
  await Promise.all(
    jobs.map(async ({ job, atMs = 0, queue }) => {
      if (atMs > 0) await sleep(atMs);
      published.set(job.jobId, performance.now());
      await topics[queue ?? 'first'].publishMessage({ data: Buffer.from(JSON.stringify(job)) });
    }),
  );
  await traffic.untilEnded(before + jobs.length);
  const seconds = (performance.now() - startedAt) / 1000;
  const ended = traffic.ended.slice(before);
  const failed = ended.find(({ completion }) => completion.status !== 'succeeded');
  if (failed) throw new Error(JSON.stringify(failed.completion));
  return {
    seconds,
    completions: ended.map(({ completion }) => completion),
    /** From publish to completion, in milliseconds, of the jobs whose ids begin so. */
    waitsMs: (prefix: string) =>
      ended
        .map(({ completion: { jobId = '' }, at }) => ({ jobId, ms: at - (published.get(jobId) ?? NaN) }))
        .filter(({ jobId }) => jobId.startsWith(prefix))
        .map(({ ms }) => ms),
  };
}

/** What Triton has counted for a model; `busyMs` is the time of its executions, summed: what stands for GPU time. */
async function counted({ stack }: Parts, model: string) {
  const response = await fetch(`http://127.0.0.1:${stack.ports.tritonHttp}/v2/models/${model}/stats`);
  const { model_stats: all } = (await response.json()) as { readonly model_stats: readonly Statistics[] };
  const { inference_count: requests = 0, execution_count: executions = 0, batch_stats: batches = [] } = all[0] ?? {};
  return { requests, executions, busyMs: batches.reduce((sum, { compute_infer }) => sum + compute_infer.ns / 1e6, 0) };
}

interface Statistics {
  readonly inference_count?: number;
  readonly execution_count?: number;
  readonly batch_stats?: readonly { readonly compute_infer: { readonly ns: number } }[];
}
