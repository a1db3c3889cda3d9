/** Metrics of the requests to each version, and how much of them was useful. */
import type { Step } from '../../domain/completion.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';

export interface InferenceFacts {
  /** Per version: requests in flight, the concurrency limit, and requests that wait. */
  readonly load: () => readonly {
    readonly model: string;
    readonly version: string;
    readonly inFlight: number;
    readonly limit: number;
    readonly waiting: number;
  }[];
  /** Per version: milliseconds per execution and per pixel, in the planner's current estimate. */
  readonly learnedCosts: () => readonly {
    readonly model: string;
    readonly version: string;
    readonly fixed: number;
    readonly perPixel: number;
  }[];
}

export function inferenceMetrics(families: Families, labels: Labels, facts: InferenceFacts) {
  const byPlan = ['model', 'version', 'plan'] as const;
  const requests = families.counter('imagen_inference_requests_total', 'Requests of finished operations', byPlan);
  const computed = families.counter(
    'imagen_inference_pixels_computed_total',
    'Pixels in the requests of finished operations, including margins and padding',
    byPlan,
  );
  const useful = families.counter(
    'imagen_inference_pixels_useful_total',
    'Pixels of the pictures themselves in these requests, each counted once',
    byPlan,
  );

  const gauges = <T extends { readonly model: string; readonly version: string }>(
    name: string,
    help: string,
    list: () => readonly T[],
    read: (one: T) => number,
  ) =>
    families.gauges(name, help, ['model', 'version'], () =>
      list().map((one) => [labels.served(one.model, one.version), read(one)] as const),
    );
  gauges('imagen_inference_in_flight', 'Requests in flight to Triton', facts.load, ({ inFlight }) => inFlight);
  gauges('imagen_inference_in_flight_limit', 'How many may be in flight now', facts.load, ({ limit }) => limit);
  gauges('imagen_inference_waiting', 'Requests that wait until they may be sent', facts.load, ({ waiting }) => waiting);
  gauges(
    'imagen_planner_launch_seconds',
    "Fixed cost of an execution, independent of its size, as the planner estimates it from Triton's statistics",
    facts.learnedCosts,
    ({ fixed }) => fixed / 1000,
  );
  gauges(
    'imagen_planner_megapixel_seconds',
    "Cost of a million pixels of an execution, as the planner estimates it from Triton's statistics",
    facts.learnedCosts,
    ({ perPixel }) => perPixel * 1000,
  );

  return {
    operationDone(step: Step, pixels: { readonly computed: number; readonly useful: number }): void {
      const which = { ...labels.served(step.model, step.servedVersion), plan: labels.plan(step.plan) };
      requests.inc(which, step.requests);
      computed.inc(which, pixels.computed);
      useful.inc(which, pixels.useful);
    },
  };
}
