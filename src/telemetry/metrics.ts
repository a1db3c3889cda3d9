import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Completion } from '../domain/completion.js';

/** Labels are bounded: model names come from jobs, so only those that Triton serves are told apart. */
export interface Gauges {
  readonly jobsActive: () => number;
  readonly jobsWaiting: () => number;
  readonly jobsParked: () => number;
  readonly circuitsOpen: () => readonly string[];
  readonly decodedBytes: () => number;
  readonly limits: { readonly jobs: number; readonly decodedBytes: number };
  readonly requestsInFlight: () => ReadonlyMap<string, number>;
  readonly knownModel: (name: string) => boolean;
  /** Milliseconds of an execution, and for each of its pixels, as the planner believes at the moment. */
  readonly learnedCosts: () => readonly {
    readonly model: string;
    readonly version: string;
    readonly fixed: number;
    readonly perPixel: number;
  }[];
}

export interface Metrics {
  /** Prometheus' text format. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
  jobEnded(completion: Completion, about: { readonly model: string | undefined; readonly replay: boolean }): void;
  jobDeferred(code: string): void;
  jobGivenBack(code: string): void;
}

const STAGE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const jobs = new Counter({
    name: 'imagen_jobs_total',
    help: 'Jobs that ended, by the model of their last operation, status and error code',
    labelNames: ['model', 'status', 'code'],
    registers,
  });
  const replays = new Counter({
    name: 'imagen_replays_total',
    help: 'Deliveries of jobs that had ended before, answered from their record',
    registers,
  });
  const givenBack = new Counter({
    name: 'imagen_given_back_total',
    help: 'Deliveries that were nacked to be tried again, by the reason',
    labelNames: ['code'],
    registers,
  });
  const deferred = new Counter({
    name: 'imagen_deferred_total',
    help: 'Messages that were put back into the queue because their job could not be done then, by the reason',
    labelNames: ['code'],
    registers,
  });
  const stages = new Histogram({
    name: 'imagen_stage_duration_seconds',
    help: 'Time that jobs spent in each stage; queued is the time between publish and pull',
    labelNames: ['stage'],
    buckets: STAGE_BUCKETS,
    registers,
  });
  const requests = new Counter({
    name: 'imagen_inference_requests_total',
    help: 'Requests that finished jobs sent to Triton, by model, version and plan',
    labelNames: ['model', 'version', 'plan'],
    registers,
  });
  new Gauge({
    name: 'imagen_jobs_active',
    help: 'Jobs in work',
    registers,
    collect() {
      this.set(gauges.jobsActive());
    },
  });
  new Gauge({
    name: 'imagen_jobs_waiting',
    help: 'Jobs pulled that wait for a place',
    registers,
    collect() {
      this.set(gauges.jobsWaiting());
    },
  });
  new Gauge({
    name: 'imagen_jobs_parked',
    help: 'Jobs pulled that stand aside until their model can serve again',
    registers,
    collect() {
      this.set(gauges.jobsParked());
    },
  });
  new Gauge({
    name: 'imagen_model_circuit_open',
    help: '1 for a model that inferences have found unavailable, and whose jobs stand aside',
    labelNames: ['model'],
    registers,
    collect() {
      this.reset();
      for (const model of gauges.circuitsOpen()) this.set({ model }, 1);
    },
  });
  new Gauge({
    name: 'imagen_decoded_bytes',
    help: 'Memory reserved for the pictures in work',
    registers,
    collect() {
      this.set(gauges.decodedBytes());
    },
  });
  for (const [name, help, limit] of [
    ['imagen_jobs_active_limit', 'Most jobs in work at once', gauges.limits.jobs],
    ['imagen_decoded_bytes_limit', 'Most memory for the pictures in work', gauges.limits.decodedBytes],
  ] as const) {
    new Gauge({ name, help, registers }).set(limit);
  }
  new Gauge({
    name: 'imagen_inference_in_flight',
    help: 'Requests in flight to Triton, by model',
    labelNames: ['model'],
    registers,
    collect() {
      for (const [model, count] of gauges.requestsInFlight()) this.set({ model }, count);
    },
  });
  const costGauge = (name: string, help: string, read: (cost: { fixed: number; perPixel: number }) => number) =>
    new Gauge({
      ...{ name, help, registers, labelNames: ['model', 'version'] },
      collect() {
        for (const cost of gauges.learnedCosts()) {
          this.set({ model: cost.model, version: cost.version }, read(cost) / 1000);
        }
      },
    });
  costGauge(
    'imagen_planner_launch_seconds',
    'What an execution costs whatever its size, as the planner has learned from Triton',
    ({ fixed }) => fixed,
  );
  costGauge(
    'imagen_planner_megapixel_seconds',
    'What a million pixels of an execution cost, as the planner has learned from Triton',
    ({ perPixel }) => perPixel * 1e6,
  );

  return {
    async render() {
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
    jobEnded(completion, { model, replay }) {
      if (replay) {
        replays.inc();
        return;
      }
      const known = model !== undefined && gauges.knownModel(model) ? model : 'unknown';
      jobs.inc({ model: known, status: completion.status, code: completion.error?.code ?? '' });
      for (const [stage, ms = 0] of Object.entries(completion.timingsMs ?? {})) stages.observe({ stage }, ms / 1000);
      for (const step of completion.steps ?? []) {
        requests.inc({ model: step.model, version: step.servedVersion, plan: step.plan }, step.requests);
      }
    },
    jobDeferred(code) {
      deferred.inc({ code });
    },
    jobGivenBack(code) {
      givenBack.inc({ code });
    },
  };
}
