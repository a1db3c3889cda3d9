/** What a benchmark runs on: real parts with stand-ins for the models, one worker, and an outside publisher. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import { createStorageClient } from '../../src/adapters/gcs/client.js';
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
  /** Publishes all jobs at once and waits for all completions. */
  run(jobs: readonly JobMessage[]): Promise<{ readonly seconds: number; readonly completions: readonly Completion[] }>;
  /** What Triton has counted for a model. */
  counted(model: string): Promise<Counted>;
  /** Ends the worker and starts a new one, which has learned nothing yet. */
  freshWorker(): Promise<void>;
  /** Of the worker that runs now. */
  workerPid(): number;
  close(): Promise<void>;
}

export interface Counted {
  readonly requests: number;
  readonly executions: number;
  /** Time that executions took, summed: what stands for GPU time. */
  readonly busyMs: number;
}

const main = join(root, 'dist/main.js');
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
    IMAGEN_MAX_JOBS: '32',
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

  let ended: Completion[] = [];
  const completions = pubsub.subscription('bench');
  completions.on('message', (message: Message) => {
    ended.push(JSON.parse(message.data.toString()) as Completion);
    message.ack();
  });

  let worker = await startWorker(env);
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
      ended = [];
      const topic = pubsub.topic(stack.env.IMAGEN_JOBS_TOPIC);
      const startedAt = performance.now();
      await Promise.all(jobs.map((job) => topic.publishMessage({ data: Buffer.from(JSON.stringify(job)) })));
      while (ended.length < jobs.length) {
        if (performance.now() - startedAt > RUN_LIMIT_MS)
          throw new Error(`${ended.length} of ${jobs.length} jobs ended`);
        await sleep(20);
      }
      const seconds = (performance.now() - startedAt) / 1000;
      const failed = ended.find(({ status }) => status !== 'succeeded');
      if (failed) throw new Error(`${failed.jobId ?? ''}: ${failed.error?.code ?? ''}: ${failed.error?.message ?? ''}`);
      return { seconds, completions: ended };
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
      worker = await startWorker(env);
    },

    workerPid: () => worker.pid,

    async close() {
      await worker.stop();
      await completions.close();
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
  return {
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      await exit;
    },
  };
}
