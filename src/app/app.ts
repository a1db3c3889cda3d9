/** The composition root of the worker: the only place that creates its parts and connects them. */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { createObjectStore } from '../adapters/gcs/store.js';
import { shortcomings } from '../adapters/pubsub/admin.js';
import { createPubSubClient, PUBLISHING } from '../adapters/pubsub/client.js';
import { createPublisher } from '../adapters/pubsub/publisher.js';
import { createJobSource } from '../adapters/pubsub/source.js';
import { connectTriton } from '../adapters/triton/server.js';
import type { WeightedSubscription, WorkerConfig } from '../config/index.js';
import { capacityOf } from '../domain/contract.js';
import { armLabel, experimentsOf } from '../domain/experiment.js';
import { recall } from '../records/recall.js';
import type { RetryLimits } from '../pipeline/retry.js';
import { retryingStore } from '../pipeline/retry.js';
import { createUnknown } from '../pipeline/route.js';
import { openRoutes } from '../config/routes-file.js';
import { startStatusServer, type StatusServer } from '../telemetry/http.js';
import type { Logger } from '../telemetry/logger.js';
import { createMetrics } from '../telemetry/metrics/index.js';
import { type Pause, PAUSES } from '../telemetry/metrics/intake.js';
import { codeOf, createObserver } from '../telemetry/observer.js';
import { createOutage } from '../telemetry/outage.js';
import { startTracing, type Tracing } from '../tracing/tracing.js';
import { packageVersion } from '../config/version.js';
import { failing, keepDoing, lookAtCosts, unserved, watchArms, watchOutages } from './monitors.js';
import { createAvailability } from '../scheduling/availability.js';
import { createBuckets } from '../scheduling/buckets.js';
import { createBudget } from '../scheduling/budget.js';
import { createCircuits } from '../scheduling/circuits.js';
import { codecSlots, createCodecs } from '../scheduling/codecs.js';
import { createCostModel, LOOK_MS } from '../scheduling/cost-model.js';
import { createFairShare } from '../scheduling/fair-share.js';
import { createCanaryGuard } from '../worker/canary-guard.js';
import { createHandler } from '../worker/handle.js';
import { createIntake } from '../scheduling/intake.js';
import { createOutlet } from '../worker/outlet.js';
import { pathOf, recordNeeds } from '../scheduling/needs.js';
import { versionFor } from '../scheduling/version-for.js';
import { createWaitingRoom } from '../scheduling/waiting-room.js';

export interface App {
  /** Resolves when the worker pulls jobs. It waits for Triton without a time limit. */
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

/** Longest time for which a job may hold its message, in seconds. After that the lease expires and another worker tries. */
const MAX_LEASE_SECONDS = 3_600;
const TRITON_POLL_MS = 500;
/**
 * Longest pause between two attempts in place at an inference, in milliseconds. Jobs resume within this time when their
 * model is back.
 */
const MODEL_RETRY_MS = 1_000;
/** Size of the waiting room, as a share of the places for jobs. */
const PARKED_SHARE = 0.5;
/** How often to check whether a job in work was canceled or has ended elsewhere, in milliseconds. */
const WATCH_RECORD_MS = 5_000;
/** The watchdog in Triton's container loads a model again in about as long. */
const SUSPECT_PAUSE_MS = 5_000;
/** How often to check whether another worker has stopped an arm, in milliseconds. */
const LOOK_AT_ARMS_MS = 3_000;
/** Part of the drain time reserved for closing connections, in milliseconds. */
const CLOSING_MS = 500;

export function createApp(config: WorkerConfig, log: Logger): App {
  const stopping = new AbortController();
  const pubsub = createPubSubClient({ projectId: config.projectId, emulator: config.pubsubEmulator });
  const publishing = createPubSubClient({
    projectId: config.projectId,
    emulator: config.pubsubEmulator,
    pings: PUBLISHING,
  });
  const tritonOutage = createOutage({
    away: (error, awaySeconds) =>
      log.warn({ error, awaySeconds }, awaySeconds === 0 ? 'Triton is away' : 'Triton is still away'),
    back: (awaySeconds) => log.info({ awaySeconds }, 'Triton is back'),
  });
  const models = connectTriton({
    url: config.tritonUrl,
    transport: config.tritonTransport,
    inferTimeoutMs: config.inferenceTimeoutSeconds * 1000,
    rememberMs: config.maxDeferredSeconds * 1000,
    onRead: (error) => tritonOutage.tell(error),
    onAttempt({ model, version, carrier, tookMs, error }) {
      if (error !== undefined) metrics.tritonFailed(model, codeOf(error));
      else if (carrier) metrics.tritonAnswered({ model, version, transport: carrier, tookMs });
    },
  });
  const routes = openRoutes(config.routesFile, {
    broken: (error) => log.error({ error }, 'the routes file is broken; the last good one stays'),
    changed: ({ arms }) => log.info({ experiments: experimentsOf(arms) }, 'the routes file has changed'),
  });

  const retry: RetryLimits = {
    unavailableMs: config.modelWaitSeconds * 1000,
    failedAttempts: config.inferenceAttempts,
    maxDelayMs: MODEL_RETRY_MS,
  };
  const plainStore = createObjectStore({ emulator: config.storageEmulator });
  const buckets = createBuckets(plainStore, config);
  const singleTryStore = buckets.watch(plainStore);
  const store = retryingStore(singleTryStore, {
    unavailableMs: config.storageWaitSeconds * 1000,
    failedAttempts: config.inferenceAttempts,
  });
  const intake = createIntake(config.maxJobs);
  const unknown = createUnknown();
  const circuits = createCircuits(models, {
    versionFor: (need) =>
      versionFor(need, models.contracts(), { routes: routes.current(), stopped: (arm) => guard.stopped(arm) }),
  });
  const availability = createAvailability({ circuits, buckets });
  const parkingRoom = Math.max(1, Math.floor(config.maxJobs * PARKED_SHARE));
  const waitingRoom = createWaitingRoom({
    room: parkingRoom,
    starving: () => intake.waiting === 0 && intake.active < config.maxJobs,
    availability,
    refresh: () => {
      models
        .refresh(stopping.signal)
        .catch((error: unknown) => log.debug({ error }, 'cannot read the models from Triton'));
    },
  });
  const budget = createBudget(config.maxDecodedBytes);
  const room = createCodecs(codecSlots(config.poolThreads, availableParallelism()));
  const costs = createCostModel();
  const share = createFairShare({
    capacityOf: (model) => capacityOf(models.contracts().get(model)),
    costOf: (model, version) => costs.costOf(model, version),
    retry,
  });
  const guard = createCanaryGuard({
    ...{ store: plainStore, statePrefix: config.statePrefix, worker: config.workerName },
    arms: () => routes.current().arms,
    onStop: (stop, here) =>
      log[here ? 'error' : 'warn']({ stop }, here ? 'an arm fails too often and is stopped' : 'an arm was stopped'),
  });
  const lookAtArms = watchArms(guard, log);
  const looking = keepDoing(LOOK_MS, () => lookAtCosts(costs, models, log));
  const outlets = {
    jobs: createOutlet(createPublisher(publishing, config.jobsTopic)),
    // While completions cannot be published, no new job starts.
    completions: createOutlet(createPublisher(publishing, config.completionsTopic), (reason) =>
      intake.pause(reason !== undefined),
    ),
    deadLetters: createOutlet(createPublisher(publishing, config.deadLetterTopic)),
  };
  const watching = [
    watchOutages(
      { field: 'model', name: 'a model' },
      () =>
        new Map([
          ...unserved(routes.current(), models),
          ...failing(models.sick()),
          ...models.unready(),
          ...circuits.open().map(({ model, version, reason }) => [`${model}/${version}`, reason] as const),
        ]),
      log,
    ),
    watchOutages(
      { field: 'bucket', name: 'a bucket' },
      () => new Map(buckets.open().map(({ place, reason }) => [`${pathOf(place)} (${place.access})`, reason])),
      log,
    ),
    watchOutages({ field: 'topic', name: 'a topic' }, () => refusingTopics(), log),
  ];
  const metrics = createMetrics({
    build: {
      version: packageVersion(),
      revision: config.revision,
      node: process.versions.node,
      sharp: sharp.versions.sharp,
    },
    jobsActive: () => intake.active,
    jobsWaiting: () => intake.waiting,
    jobsParked: () => waitingRoom.parked,
    bucketsOpen: () => buckets.open().map(({ place }) => place),
    circuitsOpen: () => [...new Set(circuits.open().map(({ model }) => model))],
    sick: () => models.sick(),
    decodedBytes: () => budget.held(),
    ...{ codecsActive: room.running, codecsWaiting: room.waiting },
    limits: { jobs: config.maxJobs, decodedBytes: config.maxDecodedBytes },
    paused,
    load: () => share.load(),
    learnedCosts: () => costs.learned(),
    catalogue: models,
    tritonReady: () => tritonOutage.well,
    arms: () => routes.current().arms,
    armStopped: (arm) => guard.stopped(arm),
    routed: () => routes.current().named,
  });

  const handle = createHandler(
    {
      ...{ store, singleTryStore },
      models: availability.watch(circuits.watch(costs.watch(models))),
      intake,
      availability,
      waitingRoom,
      share,
      ...outlets,
      observer: createObserver(log, metrics),
    },
    {
      statePrefix: config.statePrefix,
      maxAttempts: config.maxAttempts,
      maxDeferredMs: config.maxDeferredSeconds * 1000,
      watchMs: WATCH_RECORD_MS,
      suspectPauseMs: SUSPECT_PAUSE_MS,
      worker: config.workerName,
      pipeline: {
        maxInputPixels: config.maxInputPixels,
        maxOutputPixels: config.maxOutputPixels,
        reserve: budget.reserve,
        codecs: room.codecs,
        onOperation(step, pixels) {
          metrics.operationDone(step, pixels);
          metrics.stepDone(step);
        },
        onArm(arm, end, about) {
          metrics.armEnded(arm, end);
          guard.ended(arm, end, about);
          if (about.error)
            log.warn({ ...about, arm: armLabel(arm), version: arm.version, end }, 'an arm failed at an operation');
        },
        predict: (model, version) => ({
          ...costs.costOf(model, version),
          jobsAtOnce: intake.active,
        }),
        fetch: { allowedInputs: config.allowedInputs, maxBytes: config.maxInputBytes },
        endOf: async (jobId, from, signal) =>
          (await recall(from, config.statePrefix, jobId, signal))?.completion.status,
        target: { outputPrefix: config.outputPrefix, allowedOutputs: config.allowedOutputs },
        route: () => ({
          ...{ routes: routes.current(), waitMs: retry.unavailableMs, unknown },
          stopped: (arm) => guard.stopped(arm),
        }),
      },
    },
  );
  const sources = config.jobsSubscriptions.map((subscription) =>
    createJobSource(pubsub, subscription.name, {
      maxMessages: fairPart(subscription, config.jobsSubscriptions, config.maxJobs + parkingRoom),
      maxExtensionSeconds: MAX_LEASE_SECONDS,
      onError: (error) => log.error({ error, subscription: subscription.name }, 'unexpected error at the subscription'),
      onLease: { extended: () => metrics.leaseExtended(), lost: () => metrics.leaseLost() },
    }),
  );

  let status: StatusServer | undefined;
  let tracing: Tracing | undefined;
  let watchingArms: { stop(): void } | undefined;
  let pulling = false;
  let failure: Error | undefined;
  const failed = Promise.race(sources.map((source) => source.closed)).then((error) => (failure = error));

  function paused(): readonly Pause[] {
    const reasons: Readonly<Record<Pause, boolean>> = {
      starting: !pulling,
      stopping: stopping.signal.aborted,
      models: pulling && models.contracts().size === 0,
      places: intake.active >= config.maxJobs && intake.waiting > 0,
      memory: budget.waiting() > 0,
      alone: intake.alone,
      completions: intake.paused,
    };
    return PAUSES.filter((reason) => reasons[reason]);
  }

  /** Topics that accept nothing, with the reason. */
  function refusingTopics(): Map<string, string> {
    const topics = [
      [config.jobsTopic, outlets.jobs],
      [config.completionsTopic, outlets.completions],
      [config.deadLetterTopic, outlets.deadLetters],
    ] as const;
    return new Map(topics.flatMap(([name, { blocked }]) => (blocked ? [[name, blocked.message]] : [])));
  }

  /** Why the worker cannot work at all; undefined if it can. */
  function unready(): string | undefined {
    if (stopping.signal.aborted) return 'stopping';
    if (!pulling) return 'waiting for Triton';
    if (models.contracts().size === 0) return 'no model is ready';
    const records = availability.broken(recordNeeds(config));
    if (records) return `records cannot be kept: ${records.reason}`;
    if (intake.paused) return `completions are refused: ${outlets.completions.blocked?.message ?? ''}`;
    return undefined;
  }

  const isStopping = () => stopping.signal.aborted;

  async function start(): Promise<void> {
    if (isStopping()) return; // `stop` waits for a start that began before it, but not for one that begins after it
    tracing = await startTracing(config, config.workerName, (what, reason) => log.warn({ reason }, what));
    status = await startStatusServer(config.port, { sick: () => failure?.message, unready }, metrics);
    // Check the configured places before a job finds out.
    void buckets.checkAll();
    // A worker that starts must obey earlier decisions of other workers.
    await Promise.all([waitForModels(), lookAtArms(stopping.signal)]);
    if (isStopping()) return;
    watchingArms = keepDoing(LOOK_AT_ARMS_MS, () => lookAtArms(stopping.signal));
    void warnOfSubscriptions();
    for (const source of sources) source.start(handle);
    pulling = true;
    log.info(
      { port: status.port, models: [...models.contracts().keys()], subscriptions: config.jobsSubscriptions },
      'pulling jobs',
    );
  }

  /** Runs beside the work, since a worker without the right to read its subscriptions can still work. */
  async function warnOfSubscriptions(): Promise<void> {
    for (const { name } of config.jobsSubscriptions) {
      try {
        for (const lack of await shortcomings(pubsub, name, config.maxAttempts)) {
          log.warn({ subscription: name }, `${lack}; "imagen setup" mends that`);
        }
      } catch (error) {
        log.info({ subscription: name, error }, 'cannot see the policies of the subscription');
      }
    }
  }

  /** Waits until there is a model. Waiting costs nothing, while pulling a job would cost a delivery attempt. */
  async function waitForModels(): Promise<void> {
    const noModel = createOutage({
      away: (unready, waitedSeconds) => log.warn({ unready, waitedSeconds }, 'Triton serves no model yet'),
      back: (waitedSeconds) => log.info({ waitedSeconds }, 'Triton serves a model'),
    });
    for (;;) {
      try {
        await models.refresh(stopping.signal);
        const some = models.contracts().size > 0;
        noModel.tell(some ? undefined : Object.fromEntries(models.unready()));
        if (some) return;
      } catch {
        if (stopping.signal.aborted) return; // otherwise it has been reported as an outage
      }
      await sleep(TRITON_POLL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
    }
  }

  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    log.info({ active: intake.active, waiting: intake.waiting }, 'stopping');
    stopping.abort(new Error('the worker is stopping'));
    intake.close();
    // A start in progress sees the signal and ends soon. What it has opened is closed below.
    await started?.catch(() => undefined);
    if (pulling) await Promise.all(sources.map((source) => source.stop(config.drainSeconds * 1000 - CLOSING_MS)));
    looking.stop();
    watching.forEach((watch) => watch.stop());
    buckets.close();
    watchingArms?.stop();
    routes.close();
    const closed = Promise.all([
      models.close(),
      pubsub.close(),
      publishing.close(),
      status?.close(),
      tracing?.stop(CLOSING_MS),
    ]);
    await Promise.race([closed, sleep(CLOSING_MS, undefined, { ref: false })]);
    log.info('stopped');
  }

  return {
    start: () => (started ??= start()),
    stop: () => (stopped ??= stop()),
    failed,
    get port() {
      return status?.port;
    },
  };
}

/** A subscription's share of the places, by its weight; at least one. */
function fairPart(one: WeightedSubscription, all: readonly WeightedSubscription[], places: number): number {
  const total = all.reduce((sum, { weight }) => sum + weight, 0);
  return Math.max(1, Math.round((places * one.weight) / total));
}
