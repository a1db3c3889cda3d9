/** Shadows of jobs: what they may use of the worker, and what keeps them from jobs. */
import type { WorkerConfig } from '../config/index.js';
import { capacityOf, type Capacity } from '../domain/capacity.js';
import { JobError } from '../domain/errors.js';
import { type DoneJob, Dropped, type ShadowReport } from '../domain/shadow.js';
import type { PipelineOptions } from '../pipeline/job-state.js';
import type { RequestScheduler } from '../pipeline/transform.js';
import { createFairShare } from '../scheduling/fair-share.js';
import { createPace, type Pace } from '../shadow/pace.js';
import { type Shadow, shadowsOf } from '../shadow/plan.js';
import { createShadowQueue, type Hold, type JobsLoad, type ShadowEnd } from '../shadow/queue.js';
import { createRests, type Rests } from '../shadow/rests.js';
import { workOn } from '../shadow/work.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics/index.js';
import type { Connections } from './connections.js';
import { plainOptions } from './plain-options.js';
import type { Schedulers } from './schedulers.js';

export interface Shadows {
  /** Takes a job that is done and announced, and does it once more if it gets a shadow. Never throws. */
  offer(done: DoneJob): void;
  readonly waiting: number;
  readonly active: boolean;
  /** Drops all shadows. */
  stop(): void;
}

/**
 * A shadow's requests have queues of their own, so that what fails there is no failure of jobs: they open no circuit, refuse
 * no waiting request, and count for no guard. Only the cost model learns from them, since Triton's statistics count them.
 * @param onEnd called with how each shadow ended; must not throw
 */
export function createShadows(
  config: WorkerConfig,
  { models, routes, store }: Connections,
  schedulers: Schedulers,
  onEnd: (shadow: Shadow, end: ShadowEnd) => void,
): Shadows {
  const { costs } = schedulers;
  const { shadowPrefix: prefix } = config;
  const rests = createRests();
  const requests = () => schedulers.share.load().reduce((sum, { inFlight, waiting }) => sum + inFlight + waiting, 0);
  const atTriton = () => Math.min(requests(), schedulers.intake.active);
  const pace = createPace({ active: () => schedulers.intake.active, atTriton });
  const load = loadOf(schedulers, requests, pace);
  const share = createFairShare({
    capacityOf: (model) => oneRun(capacityOf(models.contracts().get(model))),
    costOf: (model, version) => costs.costOf(model, version),
    retry: { unavailableMs: 0, failedAttempts: config.inferenceAttempts },
  });
  const parts = { models: costs.watch(models), store };
  // Below the limit of one inference: a version that hangs is then given up before the connection counts it as unanswered.
  const requestMs = config.inferenceTimeoutSeconds * 500;
  const queue = createShadowQueue({
    load,
    whyNot({ model, version }) {
      const isNamed = routes.current().shadows.some((one) => one.model === model && one.version === version);
      if (!isNamed) return 'withdrawn';
      return rests.isResting(model, version) ? 'resting' : undefined;
    },
    work: (shadow, hold) =>
      workOn(
        shadow,
        parts,
        { prefix: prefix ?? '', worker: config.workerName, pipeline: pipelineFor(config, routes, schedulers, hold) },
        { ...hold, schedule: inSpare(share.scheduler(shadow, false), hold, pace, requestMs) },
      ),
    onEnd(shadow, end) {
      if (end.kind === 'reported') noteAnswer(rests, end.report);
      onEnd(shadow, end);
    },
  });
  return {
    offer(done) {
      // Without a prefix the routes name no shadow.
      const { jobId } = done.job;
      for (const one of shadowsOf(done, (model) => routes.current().shadowOf(model, jobId))) queue.offer(one);
    },
    get waiting() {
      return queue.waiting;
    },
    get active() {
      return queue.active;
    },
    stop: () => queue.stop(),
  };
}

function noteAnswer(rests: Rests, { model, version, error }: ShadowReport): void {
  if (!error) rests.answered(model, version);
  else if (error.code === 'EXECUTION_TIMEOUT' && error.stage === 'infer') rests.hung(model, version);
}

/** One batch at a time: a job that comes in the middle waits for one execution at most. */
const oneRun = (capacity: Capacity): Capacity => ({ ...capacity, runs: 1, inFlight: capacity.batch });

/**
 * A shadow waits for a moment without any job in work, since a job that is being read will soon send requests. Where there is
 * none, a moment without requests at Triton suffices.
 */
function loadOf({ intake, budget, codecs }: Schedulers, atTriton: () => number, pace: Pace): JobsLoad {
  const pressed = () => intake.waiting > 0 || intake.alone || budget.waiting() > 0;
  const isEmpty = () => (pace.crowded ? atTriton() : intake.active) === 0;
  return {
    update: () => pace.update(),
    withinBudget: () => pace.withinBudget,
    pressed,
    quiet: () => isEmpty() && !pressed() && codecs.waiting() === 0,
  };
}

/** Sends a request only when its turn has come, and ends the shadow if the answer takes too long. */
function inSpare(
  schedule: RequestScheduler,
  { turn: turnOf, end }: Hold,
  pace: Pace,
  requestMs: number,
): RequestScheduler {
  return (request, task, signal) =>
    schedule(
      request,
      async (window, turn) => {
        await turnOf();
        const message = `model ${request.model}, version ${request.version}: a shadow's request had no answer within ${requestMs / 1000} s`;
        const timer = setTimeout(() => end(new JobError('EXECUTION_TIMEOUT', message)), requestMs);
        try {
          return await pace.during(() => task(window, turn));
        } finally {
          clearTimeout(timer);
        }
      },
      signal,
    );
}

function pipelineFor(
  config: WorkerConfig,
  routes: Connections['routes'],
  { budget, codecs, turbo, costs }: Schedulers,
  { pause }: Hold,
): PipelineOptions {
  return {
    ...plainOptions(config),
    turbo,
    reserve(bytes) {
      const release = budget.take(bytes);
      return release ? Promise.resolve(release) : Promise.reject(new Dropped('memory'));
    },
    codecs: (claimant, signal) => {
      const codec = codecs.codecs(claimant, signal);
      return async (costMs, compute) => {
        await pause();
        return codec(costMs, compute);
      };
    },
    predict: (model, version) => ({ ...costs.costOf(model, version), jobsAtOnce: 1 }),
    route: () => ({ routes: routes.current(), waitMs: 0, patient: false }),
  };
}

/** Writes one log line and counts one metric for the end of every shadow. */
export function reportShadow(
  { job: { jobId }, model, version, servedVersion }: Shadow,
  end: ShadowEnd,
  log: Logger,
  metrics: Pick<Metrics, 'shadowEnded'>,
): void {
  const about = { jobId, model, version, servedVersion };
  switch (end.kind) {
    case 'dropped':
      log.debug({ ...about, reason: end.reason }, 'shadow dropped');
      metrics.shadowEnded({ model, version, result: 'dropped', reason: end.reason });
      return;
    case 'faulty':
      log.error({ ...about, error: end.error }, 'shadow failed');
      metrics.shadowEnded({ model, version, result: 'failed', reason: 'INTERNAL' });
      return;
    case 'reported': {
      const { result, error, difference, sizes, seconds, pictures } = end.report;
      log[error ? 'warn' : 'info'](
        { ...about, result, error, difference, sizes, seconds, pictures },
        error ? 'shadow failed' : 'shadow done',
      );
      metrics.shadowEnded({ model, version, result, reason: error?.code ?? '', report: end.report });
    }
  }
}
