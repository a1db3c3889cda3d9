/** What a benchmark runs on: real parts with stand-ins for the models, one worker, and an outside publisher. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import { ensureJobsSubscription, ensureTopic } from '../../../src/adapters/pubsub/admin.js';
import type { Completion } from '../../../src/domain/completion.js';
import type { JobMessage } from '../../../src/domain/job.js';
import { openParts } from '../ground.js';
import type { Progress } from '../../dev/progress.js';
import type { StackEnv } from '../../dev/stack/env.js';
import { metricIn, startWorker, type Worker, type WorkerStart } from '../../dev/workers.js';
import type { StandIn } from './make-models.js';

export interface Ground {
  upload(name: string, bytes: Buffer): Promise<string>;
  /** Publishes the jobs, each at its time, and waits for all completions. */
  run(jobs: readonly TimedJob[]): Promise<Outcome>;
  /** What Triton has counted for a model. */
  counted(model: string): Promise<Counted>;
  /** One of the worker's metrics, for a model if it is named. */
  metric(name: string, model?: string): Promise<number>;
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

const SECOND_TOPIC = 'bench-second';
const SECOND_SUBSCRIPTION = 'bench-second-worker';
const RUN_LIMIT_MS = 900_000;

/**
 * @param start how its workers are started
 * @param more of their environment
 */
export async function openGround(
  models: readonly StandIn[],
  progress: Progress,
  start: WorkerStart = {},
  more: (env: StackEnv) => Readonly<Record<string, string>> = () => ({}),
): Promise<Ground> {
  const parts = await openParts({ name: 'bench', models, progress });
  const { env, pubsub, stack } = parts;

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
    ...more(env),
    IMAGEN_JOBS_SUBSCRIPTIONS: `${env.IMAGEN_JOBS_SUBSCRIPTIONS},${SECOND_SUBSCRIPTION}`,
  };
  let worker = await startWorker(workerEnv, start);
  return {
    upload: (name, bytes) => parts.upload(name, bytes),

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
      await end(worker);
      worker = await startWorker(workerEnv, start);
    },

    metric: async (name, model) => metricIn(await worker.metrics(), name, model === undefined ? {} : { model }),
    workerPid: () => worker.pid,

    async close() {
      await end(worker);
      await subscription.close();
      await parts.close();
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

async function end(worker: Worker): Promise<void> {
  worker.signal('SIGTERM');
  await worker.exit;
}
