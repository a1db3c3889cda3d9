/** What a benchmark runs on: real parts with stand-ins for the models, one worker, and an outside publisher. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import { createStorageClient } from '../../src/adapters/gcs/client.js';
import { ensureJobsSubscription, ensureTopic } from '../../src/adapters/pubsub/admin.js';
import { createPubSubClient } from '../../src/adapters/pubsub/client.js';
import type { Completion } from '../../src/domain/completion.js';
import type { JobMessage } from '../../src/domain/job.js';
import { objectRef } from '../../src/domain/uri.js';
import type { Progress } from '../progress.js';
import { localDir, root } from '../stack/paths.js';
import { upStack } from '../stack/up.js';
import { makeModels, type StandIn } from './make-models.js';

export interface Ground {
  upload(name: string, bytes: Buffer): Promise<string>;
  /** Publishes the jobs, each at its time, and waits for all completions. */
  run(jobs: readonly TimedJob[]): Promise<Outcome>;
  /** What Triton has counted for a model. */
  counted(model: string): Promise<Counted>;
  /** One of the worker's metrics for a model. */
  metric(name: string, model: string): Promise<number>;
  /** Ends the worker and starts a new one, which has learned nothing yet. */
  freshWorker(): Promise<void>;
  /** Of the worker that runs now. */
  workerPid(): number;
  close(): Promise<void>;
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
  /** From publish to completion, by job id. */
  readonly waitsMs: ReadonlyMap<string, number>;
}

export interface Counted {
  readonly requests: number;
  readonly executions: number;
  /** Time that executions took, summed: what stands for GPU time. */
  readonly busyMs: number;
}

const main = join(root, 'dist/main.js');
const SECOND_TOPIC = 'bench-second';
const SECOND_SUBSCRIPTION = 'bench-second-worker';
const RUN_LIMIT_MS = 900_000;

export async function openGround(models: readonly StandIn[], progress: Progress): Promise<Ground> {
  const dir = join(localDir, `bench-${process.pid}`);
  const repository = join(dir, 'stand-ins');
  await makeModels(repository, models);
  const stack = await upStack({
    ...{ dir, ports: 'free', parts: ['pubsub', 'gcs', 'triton'], models: ['style_aged'], progress },
    modelRepositories: [{ folder: repository }],
  });
  const env = {
    ...process.env,
    ...stack.env,
    ...stack.marker,
    LOG_LEVEL: 'warn',
    IMAGEN_ROUTES_FILE: '',
  };
  const storage = createStorageClient({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.STORAGE_EMULATOR_HOST });
  const pubsub = createPubSubClient({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.PUBSUB_EMULATOR_HOST });

  const setup = spawn(process.execPath, [main, 'setup', '--completions-subscription', 'bench'], {
    env,
    stdio: 'ignore',
  });
  const [code] = (await once(setup, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`imagen setup exited with ${code}`);

  let ended = new Map<string, { readonly completion: Completion; readonly at: number }>();
  const subscription = pubsub.subscription('bench');
  subscription.on('message', (message: Message) => {
    const completion = JSON.parse(message.data.toString()) as Completion;
    ended.set(completion.jobId ?? message.id, { completion, at: performance.now() });
    message.ack();
  });

  await ensureTopic(pubsub, SECOND_TOPIC);
  await ensureJobsSubscription(pubsub, SECOND_SUBSCRIPTION, {
    ...{ topic: SECOND_TOPIC, deadLetterTopic: env.IMAGEN_DEAD_LETTER_TOPIC, maxDeliveryAttempts: 10 },
  });
  const workerEnv = {
    ...env,
    IMAGEN_JOBS_SUBSCRIPTIONS: `${env.IMAGEN_JOBS_SUBSCRIPTIONS},${SECOND_SUBSCRIPTION}`,
  };
  let worker = await startWorker(workerEnv);
  return {
    async upload(name, bytes) {
      const uri = `${stack.env.IMAGEN_UPLOAD_PREFIX}${name}`;
      const { bucket, name: object } = objectRef(uri);
      await storage
        .bucket(bucket)
        .file(object)
        .save(bytes, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
      return uri;
    },

    async run(jobs) {
      ended = new Map();
      const [first, second] = [env.IMAGEN_JOBS_TOPIC, SECOND_TOPIC].map((name) => pubsub.topic(name));
      const published = new Map<string, number>();
      const startedAt = performance.now();
      await Promise.all(
        jobs.map(async ({ job, atMs = 0, queue }) => {
          if (atMs > 0) await sleep(atMs);
          published.set(job.jobId, performance.now());
          await (queue === 'second' ? second : first)?.publishMessage({ data: Buffer.from(JSON.stringify(job)) });
        }),
      );
      while (ended.size < jobs.length) {
        if (performance.now() - startedAt > RUN_LIMIT_MS) throw new Error(`${ended.size} of ${jobs.length} jobs ended`);
        await sleep(20);
      }
      const seconds = (performance.now() - startedAt) / 1000;
      const completions = [...ended.values()].map(({ completion }) => completion);
      const failed = completions.find(({ status }) => status !== 'succeeded');
      if (failed) throw new Error(`${failed.jobId ?? ''}: ${failed.error?.code ?? ''}: ${failed.error?.message ?? ''}`);
      const waitsMs = new Map([...ended].map(([id, { at }]) => [id, at - (published.get(id) ?? NaN)]));
      return { seconds, completions, waitsMs };
    },

    async counted(model) {
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
    },

    async freshWorker() {
      await worker.stop();
      worker = await startWorker(workerEnv);
    },

    metric: (name, model) => worker.metric(name, model),
    workerPid: () => worker.pid,

    async close() {
      await worker.stop();
      await subscription.close();
      await pubsub.close();
      await stack.down();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

interface Statistics {
  readonly model_stats: {
    readonly inference_count: number;
    readonly execution_count: number;
    readonly batch_stats: { readonly compute_infer: { readonly ns: number } }[];
  }[];
}

interface Worker {
  readonly pid: number;
  metric(name: string, model: string): Promise<number>;
  stop(): Promise<void>;
}

async function startWorker(env: NodeJS.ProcessEnv): Promise<Worker> {
  const child = spawn(process.execPath, [main, 'worker'], { env: { ...env, PORT: '0', LOG_LEVEL: 'info' } });
  const exit = once(child, 'exit');
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-10_000);
  });
  child.stderr.resume();
  const limit = AbortSignal.timeout(60_000);
  while (!log.includes('"pulling jobs"')) {
    if (limit.aborted || child.exitCode !== null) throw new Error(`the worker did not start\n${log}`);
    await sleep(50);
  }
  const port = Number(/"port":(\d+)/.exec(log)?.[1]);
  return {
    pid: child.pid ?? 0,
    async metric(name, model) {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(`model="${model}"`));
      return Number(line?.slice(line.lastIndexOf(' ')));
    },
    async stop() {
      child.kill('SIGTERM');
      await exit;
    },
  };
}
