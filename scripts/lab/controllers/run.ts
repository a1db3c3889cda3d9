/** One curve on real controllers: what jobs waited, what pods cost. */
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { type ApiServer, startApiServer } from '../../dev/k8s/api-server.js';
import type { Progress } from '../../dev/progress.js';
import { until } from '../../dev/until.js';
import type { Plant } from '../autoscale/plant.js';
import type { Moment } from '../autoscale/world.js';
import { openParts, type Parts } from '../parts.js';
import { openTraffic, type Traffic } from '../traffic.js';
import { Api } from './api.js';
import { toMs, toSeconds, wholeSeconds } from './clock.js';
import { gpuPods, makeSleeper, MODEL } from './gpus.js';
import { type Kubelet, startKubelet } from './kubelet.js';
import { applyCompressed } from './manifests.js';
import { type MetricsApi, startMetricsApi } from './metrics-api.js';
import { type WorkerPods, workerPods } from './workers.js';

export interface RunOptions {
  readonly plant: Plant;
  /** When to publish, and how long pods are counted, in seconds of the simulator. */
  readonly arrivals: readonly number[];
  readonly seconds: number;
  readonly seed: number;
  /** A folder for the logs of workers and controllers. */
  readonly logs: string;
  readonly progress: Progress;
}

export interface Outcome {
  /** Seconds of the simulator that each job took longer than one alone, in ascending order. */
  readonly waited: readonly number[];
  /** Seconds of the simulator that a job takes with nothing else to do. */
  readonly alone: number;
  readonly podSeconds: { readonly workers: number; readonly gpus: number };
  readonly lost: number;
  readonly failed: number;
  readonly badEnds: readonly string[];
  readonly trace: readonly Moment[];
}

const [WORKERS, GPUS] = ['imagen-worker', 'triton'];
const READY_MS = 120_000;
const TRACE_SECONDS = 15;
/** The parts, the controllers and the first pods as they are before the first job. */
interface Scene {
  readonly parts: Parts;
  readonly traffic: Traffic;
  readonly kubelet: Kubelet;
  readonly metrics: MetricsApi;
  readonly pods: WorkerPods;
}

/** @throws Error where a part fails, after all of them have ended */
export async function runReal(options: RunOptions): Promise<Outcome> {
  const failure = new AbortController();
  const fail = (error: unknown) => failure.abort(error);
  const closing: (() => Promise<unknown>)[] = [];
  try {
    const scene = await open(options, closing, fail);
    const running = act(scene, options);
    const failed = new Promise<never>((_, reject) =>
      failure.signal.addEventListener('abort', () => reject(failure.signal.reason as Error), { once: true }),
    );
    return await Promise.race([running, failed]);
  } finally {
    for (const close of closing.reverse()) await close().catch((error: unknown) => console.error(error));
  }
}

async function open(
  { plant, seed, logs, progress }: RunOptions,
  closing: (() => Promise<unknown>)[],
  fail: (error: unknown) => void,
): Promise<Scene> {
  const options = {
    name: 'controllers',
    models: [],
    makeMore: makeSleeper(plant),
    more: ['backlog'],
    // Google's emulator gives the first worker all that waits, whatever that asks for.
    pubsub: 'embedded',
    progress,
  } as const;
  const parts = await openParts(options);
  closing.push(() => parts.close());
  const traffic = openTraffic(parts);
  closing.push(() => traffic.close());
  const server = await startApiServer(logs);
  closing.push(() => server.close());
  await applyCompressed(server.kubeconfig, { [WORKERS]: plant.workers, [GPUS]: plant.gpus });

  const pods = workerPods(plant, parts.env, logs);
  const gpus = await gpuPods(parts.repository, plant);
  closing.push(() => gpus.close());
  const api = new Api(server, 'imagen');
  closing.push(() => api.close());
  const kubelet = startKubelet(api, [pods, gpus], fail);
  closing.push(() => kubelet.stop());
  const sources = {
    workers: () => pods.metrics(),
    backlog: async () => (await fetch(`http://127.0.0.1:${parts.stack.ports.backlog}/metrics`)).text(),
    present: () => kubelet.present(WORKERS),
  };
  const metrics = await startMetricsApi(plant, seed, sources, fail);
  closing.push(() => metrics.close());
  await startControllers(server, metrics.url);
  const isReady = () => kubelet.ready(WORKERS) === plant.workers.min && kubelet.ready(GPUS) === plant.gpus.min;
  await until(isReady, { limitMs: READY_MS, what: 'the first pods are ready' });
  return { parts, traffic, kubelet, metrics, pods };
}

/** Flags as kube-controller-manager's, its defaults divided by the clock's factor. */
const startControllers = (server: ApiServer, metricsUrl: string) =>
  server.startControllers([
    `--metrics=${metricsUrl}`,
    `--horizontal-pod-autoscaler-sync-period=${wholeSeconds(15)}s`,
    `--horizontal-pod-autoscaler-cpu-initialization-period=${wholeSeconds(300)}s`,
    `--horizontal-pod-autoscaler-initial-readiness-delay=${wholeSeconds(30)}s`,
  ]);

async function act(scene: Scene, { arrivals, seconds }: RunOptions): Promise<Outcome> {
  const { parts, traffic, kubelet, metrics, pods } = scene;
  const picture = await sharp({ create: { width: 32, height: 32, channels: 3, background: '#357' } })
    .jpeg()
    .toBuffer();
  const uri = await parts.upload('picture.jpg', picture);
  const topic = parts.pubsub.topic(parts.env.IMAGEN_JOBS_TOPIC, { batching: { maxMilliseconds: 1 } });
  const published = new Map<string, number>();
  const publish = async (jobId: string) => {
    published.set(jobId, performance.now());
    const job = { jobId, operations: [MODEL], input: { uri } };
    await topic.publishMessage({ data: Buffer.from(JSON.stringify(job)) });
  };
  const tookMs = () => traffic.ended.map(({ completion: { jobId = '' }, at }) => at - (published.get(jobId) ?? NaN));

  // The first warms the worker up.
  for (const jobId of ['alone-1', 'alone-2', 'alone-3']) {
    await publish(jobId);
    await traffic.untilEnded(published.size);
  }
  const aloneMs = Math.min(...tookMs());
  const before = traffic.ended.length;

  metrics.begin();
  const beganAt = performance.now();
  const trace: Moment[] = [];
  const tracing = setInterval(() => {
    const at = toSeconds(performance.now() - beganAt);
    if (at > seconds) return;
    trace.push({ at, backlog: metrics.backlog(), workers: kubelet.active(WORKERS), gpus: kubelet.active(GPUS) });
  }, toMs(TRACE_SECONDS));
  try {
    const publishing: Promise<void>[] = [];
    for (const [i, at] of arrivals.entries()) {
      const waitMs = beganAt + toMs(at) - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      publishing.push(publish(`job-${i}`));
    }
    await Promise.all(publishing);
    await sleep(Math.max(0, beganAt + toMs(seconds) - performance.now()));
    const endedAt = performance.now();
    const sum = (workload: string) => kubelet.podSeconds(workload, beganAt, endedAt);
    const podSeconds = { workers: sum(WORKERS), gpus: sum(GPUS) };
    // What is not done an hour later is lost.
    await until(() => traffic.ended.length >= published.size, { everyMs: 200, limitMs: toMs(3600) }).catch(
      () => undefined,
    );
    const ended = traffic.ended.slice(before);
    const waited = tookMs()
      .slice(before)
      .map((ms) => toSeconds(Math.max(0, ms - aloneMs)));
    return {
      ...{ waited: waited.sort((a, b) => a - b), alone: toSeconds(aloneMs), podSeconds, trace },
      lost: published.size - traffic.ended.length,
      failed: ended.filter(({ completion }) => completion.status !== 'succeeded').length,
      badEnds: pods.badEnds,
    };
  } finally {
    clearInterval(tracing);
  }
}
