/** Everything that decides which job gets what, and when. */
import { availableParallelism } from 'node:os';
import type { WorkerConfig } from '../config/index.js';
import { capacityOf } from '../domain/capacity.js';
import { turboFor } from '../pipeline/jpeg/turbo.js';
import { type RetryLimits, retryingStore } from '../pipeline/retry.js';
import { createUnknown } from '../pipeline/route.js';
import { createAvailability } from '../scheduling/availability.js';
import { createBuckets } from '../scheduling/buckets.js';
import { createBudget } from '../scheduling/budget.js';
import { createCircuits } from '../scheduling/circuits.js';
import { codecSlots, createCodecs } from '../scheduling/codecs.js';
import { createCostModel } from '../scheduling/cost-model.js';
import { createFairShare } from '../scheduling/fair-share.js';
import { createIntake } from '../scheduling/intake.js';
import { versionFor } from '../scheduling/version-for.js';
import { createWaitingRoom } from '../scheduling/waiting-room.js';
import type { Logger } from '../telemetry/logger.js';
import type { Guard } from '../worker/canary-guard.js';
import type { Connections } from './connections.js';

/**
 * Longest pause between two attempts in place at an inference, in milliseconds. Jobs resume within this time when their
 * model is back.
 */
const MODEL_RETRY_MS = 1_000;
/** Size of the waiting room, as a share of the places for jobs. */
const WAITING_ROOM_SHARE = 0.5;

export type Schedulers = ReturnType<typeof createSchedulers>;

/** @param stopping fires when the worker stops */
export function createSchedulers(
  config: WorkerConfig,
  { store: plainStore, models, routes }: Connections,
  guard: Guard,
  log: Logger,
  stopping: AbortSignal,
) {
  const retry: RetryLimits = {
    unavailableMs: config.modelWaitSeconds * 1000,
    failedAttempts: config.inferenceAttempts,
    maxDelayMs: MODEL_RETRY_MS,
  };
  const buckets = createBuckets(plainStore, config);
  const singleTryStore = buckets.watch(plainStore);
  const intake = createIntake(config.maxJobs);
  const circuits = createCircuits(models, {
    versionFor: (need) =>
      versionFor(need, models.contracts(), { routes: routes.current(), stopped: (arm) => guard.stopped(arm) }),
  });
  const availability = createAvailability({ circuits, buckets });
  const waitingRoomSize = Math.max(1, Math.floor(config.maxJobs * WAITING_ROOM_SHARE));
  const costs = createCostModel();
  return {
    ...{ retry, buckets, singleTryStore, intake, circuits, availability, costs },
    store: retryingStore(singleTryStore, {
      unavailableMs: config.storageWaitSeconds * 1000,
      failedAttempts: config.inferenceAttempts,
    }),
    waitingRoom: createWaitingRoom({
      room: waitingRoomSize,
      starving: () => intake.waiting === 0 && intake.active < config.maxJobs,
      availability,
      refresh: () => {
        models.refresh(stopping).catch((error: unknown) => log.debug({ error }, 'cannot read the models from Triton'));
      },
    }),
    /** Most messages to hold: those in work and those that wait in the waiting room. */
    mostMessages: config.maxJobs + waitingRoomSize,
    budget: createBudget(config.maxDecodedBytes),
    codecs: createCodecs(codecSlots(config.poolThreads, availableParallelism())),
    turbo: turboFor(config.jpegCodec, (reason) => log.info({ reason }, 'sharp decodes and encodes all JPEGs')),
    share: createFairShare({
      capacityOf: (model) => capacityOf(models.contracts().get(model)),
      costOf: (model, version) => costs.costOf(model, version),
      retry,
    }),
    unknown: createUnknown(),
  };
}
