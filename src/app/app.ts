/** The composition root of the worker: the only place that creates its parts and connects them. */
import type { WorkerConfig } from '../config/index.js';
import type { ArmStop } from '../records/arm-stop.js';
import { POLL_MS } from '../scheduling/cost-model.js';
import { pathOf } from '../scheduling/needs.js';
import { startStatusServer, type StatusServer } from '../telemetry/http.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics/index.js';
import { startTracing } from '../tracing/tracing.js';
import type { Tracing } from '../tracing/types.js';
import { createCanaryGuard } from '../worker/canary-guard.js';
import { connect, connectionServices, type Connections } from './connections.js';
import { createWorkerHandler } from './handler.js';
import { unreadyBecause } from './health.js';
import { Lifecycle, type Service } from './lifecycle.js';
import { failing, pollCosts, repeat, unserved, waitForModels, watchArms, watchOutages } from './monitors.js';
import { createOutlets, type Outlets, refusingTopics } from './outlets.js';
import { POLL_ROUTES_MS } from './routes.js';
import { createSchedulers, type Schedulers } from './schedulers.js';
import { createShadows, reportShadow } from './shadows.js';
import { createSubscriptions } from './subscriptions.js';
import { countAttempt, createWorkerMetrics } from './telemetry.js';

export interface App {
  /**
   * Resolves when the worker pulls jobs. It waits for Triton, and for the routes in Cloud Storage, without a time limit.
   * @throws ConfigError when the routes are missing or wrong
   */
  start(): Promise<void>;
  /**
   * Takes no more jobs, finishes those in work, gives the rest back and closes everything. Resolves within
   * `IMAGEN_DRAIN_SECONDS`. May be called at any time and more than once.
   */
  stop(): Promise<void>;
  /** Resolves with the reason when the worker can no longer work and its process should end. */
  readonly failed: Promise<Error>;
  /** Port of health and metrics, once started. */
  readonly port: number | undefined;
}

/** How often to check whether another worker has stopped an arm, in milliseconds. */
const POLL_ARMS_MS = 3_000;
/** Part of the drain time reserved for closing connections, in milliseconds. */
const CLOSING_MS = 500;

export function createApp(config: WorkerConfig, log: Logger): App {
  const drainMs = config.drainSeconds * 1000;
  const lifecycle = new Lifecycle({
    stopMs: drainMs,
    onStopFailed: (service, error) => log.warn({ service, error }, 'a part of the worker did not stop'),
  });
  const connections = connect(config, log, (attempt) => countAttempt(metrics, attempt));
  const guard = createCanaryGuard({
    ...{ store: connections.store, statePrefix: config.statePrefix, worker: config.workerName },
    arms: () => connections.routes.current().arms,
    onStop: (stop, here) => logArmStop(stop, here, log),
  });
  const schedulers = createSchedulers(config, connections, guard, log, lifecycle.stopping);
  const outlets = createOutlets(config, connections, schedulers.intake);
  const shadows = createShadows(config, connections, schedulers, (of, end) => reportShadow(of, end, log, metrics));
  const metrics: Metrics = createWorkerMetrics(config, connections, schedulers, guard, shadows, lifecycle);
  const handle = createWorkerHandler(config, connections, schedulers, outlets, shadows, { log, metrics, guard });
  const subscriptions = createSubscriptions(
    config,
    connections,
    handle,
    {
      mostMessages: schedulers.mostMessages,
      drainMs: drainMs - CLOSING_MS,
      onLease: { extended: () => metrics.leaseExtended(), lost: () => metrics.leaseLost() },
    },
    log,
  );
  let failure: Error | undefined;
  const failed = subscriptions.closed.then((error) => (failure = error));
  const status = statusService(config.port, metrics, {
    sick: () => failure?.message,
    unready: () => unreadyBecause(config, connections, schedulers, outlets, lifecycle),
  });
  const { models, routes } = connections;
  const { buckets, costs, intake } = schedulers;
  const pollArms = watchArms(guard, log);

  /** In the order of their start. */
  const services: readonly Service[] = [
    tracingService(config, log),
    ...connectionServices(connections),
    status,
    { name: 'the routes', start: (signal) => routes.open(signal) },
    repeat('the polling of the routes', POLL_ROUTES_MS, (signal) => routes.poll(signal)),
    ...outageWatches(config, connections, schedulers, outlets, log),
    // Check the configured prefixes before a job finds out.
    { name: 'the checks of buckets', start: () => void buckets.checkAll(), stop: () => buckets.close() },
    repeat('the cost model', POLL_MS, () => pollCosts(costs, models, log)),
    { name: 'the first model', start: (signal) => waitForModels(models, log, signal) },
    // A worker that starts must obey earlier decisions of other workers.
    { name: 'the first poll of arms', start: pollArms },
    repeat('the polling of arms', POLL_ARMS_MS, pollArms),
    subscriptions,
    // It closes first, so that the subscriptions need not wait for jobs that have not begun.
    { name: 'the intake', stop: () => intake.close() },
    { name: 'the shadows', stop: () => shadows.stop() },
  ];

  return {
    async start() {
      await lifecycle.start(services);
      if (lifecycle.state !== 'running') return;
      const { jobsSubscriptions } = config;
      log.info(
        { port: status.port(), models: [...models.contracts().keys()], subscriptions: jobsSubscriptions },
        'pulling jobs',
      );
    },
    async stop() {
      if (!lifecycle.stopping.aborted) log.info({ active: intake.active, waiting: intake.waiting }, 'stopping');
      await lifecycle.stop();
      log.info('stopped');
    },
    failed,
    get port() {
      return status.port();
    },
  };
}

function logArmStop(stop: Partial<ArmStop>, here: boolean, log: Logger): void {
  const why = stop.reason === 'slow' ? 'is too slow' : 'fails too often';
  log[here ? 'error' : 'warn']({ stop }, here ? `an arm ${why} and is stopped` : 'an arm was stopped');
}

function outageWatches(
  config: WorkerConfig,
  { models, routes }: Connections,
  { buckets, circuits }: Schedulers,
  outlets: Outlets,
  log: Logger,
): Service[] {
  const modelsAway = () =>
    new Map([
      ...unserved(routes.current(), models),
      ...failing(models.sick()),
      ...models.unready(),
      ...circuits.open().map(({ model, version, reason }) => [`${model}/${version}`, reason] as const),
    ]);
  const bucketsAway = () =>
    new Map(buckets.open().map(({ prefix, reason }) => [`${pathOf(prefix)} (${prefix.access})`, reason]));
  return [
    watchOutages({ field: 'model', name: 'a model' }, modelsAway, log),
    watchOutages({ field: 'bucket', name: 'a bucket' }, bucketsAway, log),
    watchOutages({ field: 'topic', name: 'a topic' }, () => refusingTopics(config, outlets), log),
  ];
}

function statusService(port: number, metrics: Metrics, health: Parameters<typeof startStatusServer>[1]) {
  let server: StatusServer | undefined;
  return {
    name: 'the status server',
    async start() {
      server = await startStatusServer(port, health, metrics);
    },
    stop: () => server?.close(),
    port: () => server?.port,
  } satisfies Service & { port: () => number | undefined };
}

function tracingService(config: WorkerConfig, log: Logger): Service {
  let tracing: Tracing | undefined;
  return {
    name: 'tracing',
    async start() {
      tracing = await startTracing(config, config.workerName, (what, reason) => log.warn({ reason }, what));
    },
    stop: () => tracing?.stop(CLOSING_MS),
  };
}
