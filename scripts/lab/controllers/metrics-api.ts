/**
 * The metrics APIs that an autoscaler reads: what the Custom Metrics Stackdriver Adapter and the metrics server answer. The
 * values are measured on the run's own parts, and are seen as late as Google says, divided by the clock's factor.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CLOUD_MONITORING, Delayed } from '../autoscale/delayed.js';
import { METRICS, type Plant } from '../autoscale/plant.js';
import { seeded } from '../random.js';
import { metricsSeeds } from '../autoscale/world.js';
import { metricIn } from '../../dev/workers.js';
import { toMs, toSeconds } from './clock.js';

/** How often the parts are asked, in milliseconds of the run. What the autoscaler sees of it is what a `Delayed` lets through. */
const LOOK_MS = 1_000;
/** How often it is looked whether a sample is due: a second of the simulator. */
const TICK_MS = toMs(1);
const CPU_WINDOW_SECONDS = 30;

export interface Sources {
  /** Metrics of each worker that answers, in Prometheus' text format. */
  readonly workers: () => Promise<ReadonlyMap<string, string>>;
  /** The backlog exporter's text. */
  readonly backlog: () => Promise<string>;
  /** Pods of workers that are there. */
  readonly present: () => readonly string[];
}

interface Look {
  readonly at: number;
  readonly cpu: ReadonlyMap<string, number>;
  readonly active: ReadonlyMap<string, number>;
  readonly inFlight: number;
  readonly backlog: number;
}

export type MetricsApi = Awaited<ReturnType<typeof startMetricsApi>>;

/** @param onError an error of a source, after which the run means nothing */
export async function startMetricsApi(plant: Plant, seed: number, sources: Sources, onError: (error: unknown) => void) {
  const seeds = metricsSeeds(seed);
  const pubsub = new Delayed(CLOUD_MONITORING, seeded(seeds.pubsub));
  const prometheus = new Delayed(plant.prometheus, seeded(seeds.prometheus));
  let looks: Look[] = [];
  let beganAt = Infinity;
  const now = () => toSeconds(performance.now() - beganAt);

  async function look(): Promise<void> {
    const [texts, backlog] = await Promise.all([sources.workers(), sources.backlog()]);
    const of = (name: string) => new Map([...texts].map(([pod, text]) => [pod, metricIn(text, name)]));
    const inFlight = [...of('imagen_inference_in_flight').values()].filter((value) => !Number.isNaN(value));
    looks.push({
      ...{ at: performance.now(), cpu: of('process_cpu_seconds_total'), active: of('imagen_jobs_active') },
      inFlight: inFlight.reduce((sum, value) => sum + value, 0),
      backlog: metricIn(backlog, 'pubsub_googleapis_com:subscription_num_undelivered_messages'),
    });
    looks = looks.filter(
      ({ at }) => at > performance.now() - toMs(Math.max(plant.loadSeconds, CPU_WINDOW_SECONDS)) - LOOK_MS,
    );
  }

  function tick(): void {
    const last = looks.at(-1);
    if (!last || now() < 0) return;
    pubsub.look(now(), () => new Map([[METRICS.backlog, last.backlog]]));
    prometheus.look(now(), () => {
      const recent = looks.filter(({ at }) => at > performance.now() - toMs(plant.loadSeconds));
      const load = recent.reduce((sum, { inFlight }) => sum + inFlight, 0) / Math.max(1, recent.length);
      const perPod = (name: string, values: ReadonlyMap<string, number>) =>
        [...values].map(([pod, value]) => [`${name} ${pod}`, value] as const);
      return new Map([
        [METRICS.load, load],
        ...perPod(METRICS.active, last.active),
        ...perPod(METRICS.cpu, cores(looks)),
      ]);
    });
  }

  const external = (name: string) => pubsub.read(now(), name) ?? prometheus.read(now(), name);
  const ofPods = (name: string) =>
    sources.present().flatMap((pod) => {
      const value = prometheus.read(now(), `${name} ${pod}`);
      return value === undefined || Number.isNaN(value) ? [] : [{ pod, value }];
    });

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://metrics');
    const body = answer(decodeURIComponent(pathname), external, ofPods);
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  let looking: Promise<void> = Promise.resolve();
  const lookTimer = setInterval(() => void (looking = look().catch(onError)), LOOK_MS);
  const tickTimer = setInterval(tick, TICK_MS);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** From now on samples are taken; before, every metric is missing. */
    begin: () => (beganAt = performance.now()),
    backlog: () => looks.at(-1)?.backlog ?? 0,
    async close(): Promise<void> {
      clearInterval(lookTimer);
      clearInterval(tickTimer);
      server.close();
      server.closeAllConnections();
      await looking;
    },
  };
}

/** Of each worker, how many cores it has used between the first look at it and the last. */
function cores(looks: readonly Look[]): Map<string, number> {
  const last = looks.at(-1);
  return new Map(
    [...(last?.cpu ?? [])].flatMap(([pod, used]) => {
      const first = looks.find(({ cpu }) => cpu.has(pod));
      if (!first || !last || first === last) return [];
      return [[pod, (used - (first.cpu.get(pod) ?? used)) / ((last.at - first.at) / 1000)] as const];
    }),
  );
}

const CUSTOM = 'custom.metrics.k8s.io/v1beta2';
const EXTERNAL = 'external.metrics.k8s.io/v1beta1';
const RESOURCE = 'metrics.k8s.io/v1beta1';

/** @returns undefined where there is no such thing, which an autoscaler takes for a metric that is missing */
export function answer(
  path: string,
  external: (name: string) => number | undefined,
  ofPods: (name: string) => readonly { readonly pod: string; readonly value: number }[],
): object | undefined {
  const timestamp = new Date().toISOString();
  if (path === '/apis') return DISCOVERY;
  const [, version = '', namespace = '', name = ''] =
    /^\/apis\/([^/]+\/[^/]+)\/namespaces\/([^/]+)\/(.+)$/.exec(path) ?? [];
  const list = (kind: string, items: readonly object[]) => ({ kind, apiVersion: version, metadata: {}, items });
  if (version === EXTERNAL) {
    const value = external(name);
    const items =
      value === undefined ? [] : [{ metricName: name, metricLabels: {}, timestamp, value: quantity(value) }];
    return list('ExternalMetricValueList', items);
  }
  if (version === CUSTOM) {
    const metric = name.replace(/^pods\/\*\//, '');
    const items = ofPods(metric).map(({ pod, value }) => ({
      describedObject: { kind: 'Pod', namespace, name: pod, apiVersion: 'v1' },
      ...{ metric: { name: metric }, timestamp, value: quantity(value) },
    }));
    return list('MetricValueList', items);
  }
  if (version !== RESOURCE) return undefined;
  const items = ofPods(METRICS.cpu).map(({ pod, value }) => ({
    metadata: { name: pod, namespace },
    ...{ timestamp, window: `${Math.round(toMs(CPU_WINDOW_SECONDS) / 1000)}s` },
    containers: [{ name: 'worker', usage: { cpu: quantity(value), memory: '0' } }],
  }));
  return list('PodMetricsList', items);
}

const DISCOVERY = {
  ...{ kind: 'APIGroupList', apiVersion: 'v1' },
  groups: [CUSTOM, EXTERNAL, RESOURCE].map((groupVersion) => {
    const [name = '', version = ''] = groupVersion.split('/');
    const one = { groupVersion, version };
    return { name, versions: [one], preferredVersion: one };
  }),
};

const quantity = (value: number): string => `${Math.round(value * 1000)}m`;
