/** What a benchmark runs on: real parts with stand-ins for the models, workers, and an outside publisher. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureJobsSubscription, ensureTopic } from '../../../src/adapters/pubsub/admin.js';
import type { Completion } from '../../../src/domain/completion.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Progress } from '../../dev/progress.js';
import type { PartId } from '../../dev/parts/part.js';
import type { StackEnv } from '../../dev/stack/env.js';
import { localDir } from '../../dev/stack/paths.js';
import { upStack } from '../../dev/stack/up.js';
import { metricIn, startWorker, type Worker, type WorkerStart } from '../../dev/workers.js';
import { openParts, type Parts } from '../ground.js';
import type { StandIn } from '../make-models.js';
import { openTraffic, type Traffic } from '../traffic.js';

/** With one worker, that can be had anew. */
export interface Ground {
  upload(name: string, bytes: Buffer): Promise<string>;
  /** Publishes the jobs, each at its time, and waits for all completions. @throws Error when one has not succeeded */
  run(jobs: readonly TimedJob[]): Promise<Outcome>;
  /** What Triton has counted for a model. */
  counted(model: string): Promise<Counted>;
  /** One of the worker's metrics, for a model if it is named. */
  metric(name: string, model?: string): Promise<number>;
  /** Ends the worker and starts a new one, which has learned nothing yet. */
  freshWorker(): Promise<void>;
  /** Of the worker that runs now. */
  workerPid(): number;
}

export interface TimedJob {
  readonly job: JobMessage;
  /** When to publish it, in milliseconds from the beginning; at once unless given. */
  readonly atMs?: number;
  /** A queue of its own, as a filtered subscription is; the emulator has no filters. */
  readonly queue?: 'second';
}

export interface Outcome {
  readonly seconds: number;
  readonly completions: readonly Completion[];
  /** From publish to completion, in milliseconds, of the jobs whose ids begin so. */
  waitsMs(prefix: string): number[];
}

export interface Counted {
  readonly requests: number;
  readonly executions: number;
  /** Time that executions took, summed: what stands for GPU time. */
  readonly busyMs: number;
}

export interface GroundOptions extends WorkerStart {
  /** More of its workers' environment. */
  readonly env?: (env: StackEnv) => Readonly<Record<string, string>>;
}

const SECOND_TOPIC = 'bench-second';
const SECOND_SUBSCRIPTION = 'bench-second-worker';

/** Some parts alone, in a folder of their own, for as long as the work takes. */
export async function withStack<T>(
  parts: readonly PartId[],
  progress: Progress,
  work: (env: StackEnv) => Promise<T>,
): Promise<T> {
  const dir = join(localDir, `bench-${process.pid}`);
  const stack = await upStack({ dir, ports: 'free', parts, progress });
  try {
    return await work(stack.env);
  } finally {
    await stack.down();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Parts and an outsider's traffic, for as long as the work takes. */
export async function withTraffic<T>(
  options: { readonly models: readonly StandIn[]; readonly progress: Progress; readonly env?: Record<string, string> },
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
  const workers: Worker[] = [];
  try {
    for (let i = 0; i < count; i++) workers.push(await startWorker({ ...parts.env, HOSTNAME: `worker-${i}` }));
    return await work();
  } finally {
    await Promise.all(workers.map(end));
  }
}

/** All of a Ground, for as long as the work takes. */
export async function withGround<T>(
  models: readonly StandIn[],
  progress: Progress,
  work: (ground: Ground) => Promise<T>,
  { env: more, ...start }: GroundOptions = {},
): Promise<T> {
  return withTraffic({ models, progress }, async (parts, traffic) => {
    const { env, pubsub } = parts;
    await ensureTopic(pubsub, SECOND_TOPIC);
    await ensureJobsSubscription(pubsub, SECOND_SUBSCRIPTION, {
      ...{ topic: SECOND_TOPIC, deadLetterTopic: env.IMAGEN_DEAD_LETTER_TOPIC, maxDeliveryAttempts: 10 },
    });
    const subscriptions = `${env.IMAGEN_JOBS_SUBSCRIPTIONS},${SECOND_SUBSCRIPTION}`;
    const workerEnv = { ...env, ...more?.(env), IMAGEN_JOBS_SUBSCRIPTIONS: subscriptions };
    let worker = await startWorker(workerEnv, start);
    const ground: Ground = {
      upload: (name, bytes) => parts.upload(name, bytes),
      run: (jobs) => run(parts, traffic, jobs),
      counted: (model) => counted(parts, model),
      metric: async (name, model) => metricIn(await worker.metrics(), name, model === undefined ? {} : { model }),
      async freshWorker() {
        await end(worker);
        worker = await startWorker(workerEnv, start);
      },
      workerPid: () => worker.pid,
    };
    try {
      return await work(ground);
    } finally {
      await end(worker);
    }
  });
}

async function run({ env, pubsub }: Parts, traffic: Traffic, jobs: readonly TimedJob[]): Promise<Outcome> {
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
  await traffic.until(before + jobs.length);
  const seconds = (performance.now() - startedAt) / 1000;
  const ended = traffic.ended
    .slice(before)
    .map(({ completion, at }) => ({ completion, at, id: completion.jobId ?? '' }));
  const failed = ended.find(({ completion }) => completion.status !== 'succeeded');
  if (failed)
    throw new Error(`${failed.id}: ${failed.completion.error?.code ?? ''}: ${failed.completion.error?.message ?? ''}`);
  return {
    seconds,
    completions: ended.map(({ completion }) => completion),
    waitsMs: (prefix) =>
      ended.filter(({ id }) => id.startsWith(prefix)).map(({ id, at }) => at - (published.get(id) ?? NaN)),
  };
}

async function counted({ stack }: Parts, model: string): Promise<Counted> {
  const response = await fetch(`http://127.0.0.1:${stack.ports.tritonHttp}/v2/models/${model}/stats`);
  const {
    model_stats: [stats],
  } = (await response.json()) as Statistics;
  const batches = stats?.batch_stats ?? [];
  return {
    requests: stats?.inference_count ?? 0,
    executions: stats?.execution_count ?? 0,
    busyMs: batches.reduce((sum, { compute_infer }) => sum + compute_infer.ns / 1e6, 0),
  };
}

interface Statistics {
  readonly model_stats: {
    readonly inference_count: number;
    readonly execution_count: number;
    readonly batch_stats: { readonly compute_infer: { readonly ns: number } }[];
  }[];
}

async function end(worker: Worker): Promise<void> {
  worker.signal('SIGTERM');
  await worker.exit;
}

const TOLD_LIMIT_MS = 30_000;

/** What a module beside a worker leaves in the file, as JSON, when the worker gets SIGUSR2. */
export async function toldBy(pid: number, file: string): Promise<unknown> {
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  const giveUpAt = performance.now() + TOLD_LIMIT_MS;
  while (performance.now() < giveUpAt) {
    await sleep(50);
    if (!existsSync(file)) continue;
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as unknown;
    } catch {
      // it is being written
    }
  }
  throw new Error(`the worker has left nothing in ${file} within ${TOLD_LIMIT_MS} ms`);
}
