/** What a worker reports of itself. */
import sharp from 'sharp';
import type { InferCall } from '../adapters/triton/server.js';
import type { WorkerConfig } from '../config/index.js';
import { packageVersion } from '../config/version.js';
import { createMetrics, type Metrics } from '../telemetry/metrics/index.js';
import { codeOf } from '../telemetry/observer.js';
import type { Guard } from '../worker/canary-guard.js';
import type { Connections } from './connections.js';
import { pausesOf } from './health.js';
import type { Lifecycle } from './lifecycle.js';
import type { Schedulers } from './schedulers.js';
import type { Shadows } from './shadows.js';

export function createWorkerMetrics(
  config: WorkerConfig,
  connections: Connections,
  schedulers: Schedulers,
  guard: Guard,
  shadows: Pick<Shadows, 'waiting' | 'active'>,
  lifecycle: Lifecycle,
): Metrics {
  const { models, tritonOutage, routes } = connections;
  const { intake, waitingRoom, buckets, circuits, budget, codecs, share, costs } = schedulers;
  return createMetrics({
    build: {
      version: packageVersion(),
      revision: config.revision,
      node: process.versions.node,
      sharp: sharp.versions.sharp,
    },
    jobsActive: () => intake.active,
    jobsWaiting: () => intake.waiting,
    tenants: config.tenants,
    jobsByTenant: () => intake.byTenant(),
    jobsParked: () => waitingRoom.parked,
    bucketsOpen: () => buckets.open().map(({ prefix }) => prefix),
    circuitsOpen: () => [...new Set(circuits.open().map(({ model }) => model))],
    sick: () => models.sick(),
    decodedBytes: () => budget.held(),
    ...{ codecsActive: codecs.running, codecsWaiting: codecs.waiting },
    limits: { jobs: config.maxJobs, decodedBytes: config.maxDecodedBytes },
    paused: () => pausesOf(config, connections, schedulers, lifecycle),
    load: () => share.load(),
    learnedCosts: () => costs.learned(),
    catalogue: models,
    tritonReady: () => tritonOutage.well,
    arms: () => routes.current().arms,
    armStopped: (arm) => guard.stoppedFor(arm),
    routed: () => routes.current().named,
    shadowed: () => routes.current().shadows,
    ...{ shadowsWaiting: () => shadows.waiting, shadowsActive: () => Number(shadows.active) },
  });
}

/** Counts an attempt at an inference. */
export function countAttempt(metrics: Metrics, { model, version, carrier, tookMs, error }: InferCall): void {
  if (error !== undefined) metrics.tritonFailed(model, codeOf(error));
  else if (carrier) metrics.tritonAnswered({ model, version, transport: carrier, tookMs });
}
