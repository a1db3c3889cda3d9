/**
 * A place of its own for a test: topics, subscriptions and buckets with unique names on the shared real parts, made by
 * `imagen setup`, with an outside publisher and subscriber, and workers started as processes.
 */
import { randomBytes } from 'node:crypto';
import type { Message } from '@google-cloud/pubsub';
import { expect, inject, onTestFailed } from 'vitest';
import { until as look } from '../../scripts/dev/until.js';
import { metricIn, spawnWorker } from '../../scripts/dev/workers.js';
import { createPubSub, createStorage } from '../../scripts/lab/google-clients.js';
import { PubSubChannel } from '../../src/adapters/pubsub/channel.js';
import { type Completion, completionSchema } from '../../src/domain/completion.js';
import { runProgram } from './program.js';

export interface Published {
  readonly body: string;
  readonly completion: Completion;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface WorkerProcess {
  readonly port: number;
  /** Everything that it has logged. */
  readonly log: () => string;
  /** One metric's value summed over its labels, or over those that match; 0 if it has none. */
  readonly metric: (name: string, labels?: Readonly<Record<string, string>>) => Promise<number>;
  readonly signal: (signal: NodeJS.Signals) => boolean;
  readonly exit: Promise<number | null>;
}

export type Scene = Awaited<ReturnType<typeof createScene>>;
type Json = Record<string, unknown>;

export const CLI = new URL('../../dist/main.js', import.meta.url).pathname;

export async function createScene(more: Readonly<Record<string, string>> = {}) {
  const { env: stackEnv, marker } = inject('stack');
  const id = randomBytes(4).toString('hex');
  const env = {
    ...process.env,
    ...stackEnv,
    ...marker,
    IMAGEN_JOBS_TOPIC: `jobs-${id}`,
    IMAGEN_JOBS_SUBSCRIPTIONS: `jobs-worker-${id}`,
    IMAGEN_COMPLETIONS_TOPIC: `completions-${id}`,
    IMAGEN_DEAD_LETTER_TOPIC: `dead-letters-${id}`,
    IMAGEN_DEAD_LETTER_SUBSCRIPTION: `dead-letters-review-${id}`,
    IMAGEN_OUTPUT_PREFIX: `gs://results-${id}/`,
    IMAGEN_STATE_PREFIX: `gs://state-${id}/records`,
    IMAGEN_UPLOAD_PREFIX: `gs://uploads-${id}/incoming`,
    IMAGEN_ALLOWED_INPUTS: `gs://uploads-${id}`,
    IMAGEN_ALLOWED_OUTPUTS: `gs://results-${id}`,
    PORT: '0',
    ...more,
  };
  const closers: (() => unknown)[] = [];
  const workers: (() => Promise<void>)[] = [];
  const started: WorkerProcess[] = [];

  /** Runs a command of ours to its end. */
  const imagen = (...args: string[]) => runProgram(process.execPath, [CLI, ...args], env);

  const made = await imagen('setup', '--completions-subscription', `reader-${id}`);
  expect(made, made.stderr).toMatchObject({ code: 0 });

  const projectId = env.GOOGLE_CLOUD_PROJECT;
  const pubsub = createPubSub({ projectId, emulator: env.PUBSUB_EMULATOR_HOST });
  const channel = new PubSubChannel({ projectId, emulator: env.PUBSUB_EMULATOR_HOST });
  const storage = createStorage({ projectId, emulator: env.STORAGE_EMULATOR_HOST });
  const uploads = storage.bucket(`uploads-${id}`);
  const results = storage.bucket(`results-${id}`);
  const state = storage.bucket(`state-${id}`);

  const published: Published[] = [];
  /** Bodies of group completions. */
  const groups: string[] = [];
  const reader = pubsub.subscription(`reader-${id}`);
  reader.on('message', (message: Message) => {
    const body = message.data.toString('utf8');
    if (message.attributes.type === 'group') groups.push(body);
    else published.push({ body, completion: completionSchema.parse(JSON.parse(body)), attributes: message.attributes });
    message.ack();
  });
  closers.push(
    () => channel.close(),
    () => pubsub.close(),
  );

  /** Waits until `count` completions of a job (or of any) have been published. */
  async function completions(count: number, jobId?: string, timeoutMs = 30_000): Promise<Published[]> {
    const of = () => published.filter(({ completion }) => jobId === undefined || completion.jobId === jobId);
    await until(
      () => of().length >= count,
      timeoutMs,
      () => `${of().length} of ${count} completions of ${jobId ?? 'all'}`,
    );
    return of();
  }

  const topic = pubsub.topic(env.IMAGEN_JOBS_TOPIC);
  const publishRaw = (data: Buffer | string) => topic.publishMessage({ data: Buffer.from(data) });
  const publish = (job: Json) => publishRaw(JSON.stringify(job));

  /** Stores an input and returns its address. */
  async function upload(name: string, bytes: Buffer): Promise<string> {
    await uploads.file(name).save(bytes, { resumable: false });
    return `gs://uploads-${id}/${name}`;
  }

  /** Starts a worker, and waits until it is ready. */
  async function startWorker(extra: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
    let log = '';
    const port = extra.PORT === undefined ? {} : { port: Number(extra.PORT) };
    const child = await spawnWorker({ ...env, ...extra }, { ...port, onLog: (text) => (log += text) });
    const exit = child.exit.then(({ code }) => code);
    workers.push(async () => {
      child.signal('SIGKILL');
      await exit;
    });
    expect(await child.untilReady(), log).toBe(true);
    const worker: WorkerProcess = {
      ...{ port: child.port, log: () => log, signal: child.signal, exit },
      metric: async (name, labels) => metricIn(await child.metrics(), name, labels) || 0,
    };
    started.push(worker);
    void exit.then(() => started.splice(started.indexOf(worker), 1));
    return worker;
  }

  /** Inferences of a model that the scene's running workers have had answered. Triton's own count has those of other tests. */
  async function inferences(model: string): Promise<number> {
    const counts = started.map((worker) => worker.metric('imagen_triton_round_trip_seconds_count', { model }));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  /** Kills every worker that still runs. */
  async function stopWorkers(): Promise<void> {
    await Promise.all(workers.splice(0).map((stop) => stop()));
  }

  /** Everything that one has opened ends, workers included. */
  async function close(): Promise<void> {
    await stopWorkers();
    for (const closer of closers.reverse()) await closer();
  }

  return {
    id,
    env,
    imagen,
    pubsub,
    channel,
    storage,
    reader,
    uploads,
    results,
    state,
    published,
    groups,
    completions,
    publish,
    publishRaw,
    upload,
    startWorker,
    inferences,
    stopWorkers,
    close,
  };
}

/** Shows a worker's log when the running test fails. */
export function showOnFailure(worker: WorkerProcess): void {
  onTestFailed(() => {
    process.stderr.write(worker.log());
  });
}

/** Waits until the condition holds. @param seen what was seen last, for the error */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs: number,
  seen: () => string = () => 'never held',
): Promise<void> {
  await look(condition, { everyMs: 25, limitMs, what: seen });
}
