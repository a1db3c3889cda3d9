/** The handler of messages, with its options. */
import type { WorkerConfig } from '../config/index.js';
import type { JobSource } from '../domain/ports.js';
import { armLabel, stickyKey } from '../domain/experiment.js';
import type { PipelineOptions } from '../pipeline/job-state.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics/index.js';
import { createObserver } from '../telemetry/observer.js';
import type { Guard } from '../worker/canary-guard.js';
import { createHandler } from '../worker/handle.js';
import type { Connections } from './connections.js';
import type { Outlets } from './outlets.js';
import type { Schedulers } from './schedulers.js';
import type { Shadows } from './shadows.js';
import { plainOptions } from './plain-options.js';

/** How often to check whether a job in work was canceled or has ended elsewhere, in milliseconds. */
const WATCH_RECORD_MS = 5_000;
/**
 * How long to ask storage about a job before the job stands aside, in milliseconds: longer than one call that gets no
 * answer. Then the check of the place, which that call has triggered, is over too.
 */
const LOOK_UP_MS = 10_000;
/** The watchdog in Triton's container loads a model again in about as long. */
const SUSPECT_PAUSE_MS = 5_000;

export interface Reporting {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly guard: Guard;
}

export function createWorkerHandler(
  config: WorkerConfig,
  connections: Connections,
  schedulers: Schedulers,
  outlets: Outlets,
  shadows: Pick<Shadows, 'offer'>,
  reporting: Reporting,
): Parameters<JobSource['start']>[0] {
  const { store, singleTryStore, intake, availability, waitingRoom, share, circuits, costs } = schedulers;
  return createHandler(
    {
      ...{ store, singleTryStore, intake, availability, waitingRoom, share },
      models: availability.watch(circuits.watch(costs.watch(connections.models))),
      ...outlets,
      observer: createObserver(reporting.log, reporting.metrics),
      offerShadow: (done) => shadows.offer(done),
    },
    {
      statePrefix: config.statePrefix,
      maxAttempts: config.maxAttempts,
      maxDeferredMs: config.maxDeferredSeconds * 1000,
      watchMs: WATCH_RECORD_MS,
      lookUp: { unavailableMs: LOOK_UP_MS, failedAttempts: 1 },
      suspectPauseMs: SUSPECT_PAUSE_MS,
      worker: config.workerName,
      pipeline: pipelineOptions(config, connections, schedulers, reporting),
    },
  );
}

function pipelineOptions(
  config: WorkerConfig,
  { routes }: Connections,
  { budget, codecs, turbo, costs, intake, retry, unknown }: Schedulers,
  { log, metrics, guard }: Reporting,
): PipelineOptions {
  return {
    ...plainOptions(config),
    reserve: budget.reserve,
    codecs: codecs.codecs,
    turbo,
    onOperation(step, work) {
      metrics.operationDone(step, work);
      metrics.stepDone(step);
      guard.took(step, work);
    },
    gpuMsOf: ({ model, servedVersion, requests }, { computed }) =>
      costs.shareOf(model, servedVersion, { requests, pixels: computed }),
    isStopped: (arm) => guard.stopped(arm),
    onArm(arm, end, about) {
      metrics.armEnded(arm, end);
      guard.ended(arm, end, about);
      if (about.error)
        log.warn({ ...about, arm: armLabel(arm), version: arm.version, end }, 'an arm failed at an operation');
    },
    predict: (model, version) => ({ ...costs.costOf(model, version), jobsAtOnce: intake.active }),
    route: (job) => ({
      ...{ routes: routes.current(), key: stickyKey(job), waitMs: retry.unavailableMs, unknown },
      stopped: (arm) => guard.stopped(arm),
    }),
  };
}
