/** Metrics of Triton, as this worker sees it. */
import type { ModelServer } from '../../domain/ports.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';

export interface TritonFacts {
  /** Whether the last read of Triton's models succeeded. */
  readonly tritonReady: () => boolean;
  readonly catalogue: Pick<ModelServer, 'contracts' | 'unready'>;
  readonly circuitsOpen: () => readonly string[];
  /** Replicas that answer, but fail at a model by a fault of their own. */
  readonly sick: () => readonly SickReplica[];
}

interface SickReplica {
  readonly model: string;
  readonly version: string;
  readonly replica: string;
  readonly fault: 'process' | 'device' | 'memory' | 'hang';
}

/** One request, from encoding to the decoded answer. */
export interface Attempt {
  readonly model: string;
  readonly version: string;
  readonly transport: 'unary' | 'stream' | 'shm';
  readonly tookMs: number;
}

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export function tritonMetrics(families: Families, labels: Labels, facts: TritonFacts) {
  const roundTrips = families.histogram(
    'imagen_triton_round_trip_seconds',
    "Time of one answered request to Triton as the worker sees it, including Triton's queue",
    ['model', 'version', 'transport'],
    BUCKETS,
  );
  const errors = families.counter(
    'imagen_triton_errors_total',
    'Failed attempts at an inference, including those that were retried',
    ['model', 'code'],
  );
  families.gauge('imagen_triton_ready', "1 if the last read of Triton's models succeeded", () =>
    facts.tritonReady() ? 1 : 0,
  );
  families.gauges(
    'imagen_model_ready',
    '1 for a model that serves, 0 for one that Triton knows but cannot serve',
    ['model'],
    () => {
      // A name with a slash is one version of a model that serves others.
      const unready = [...facts.catalogue.unready().keys()].filter((name) => !name.includes('/'));
      return [
        ...unready.map((model) => [{ model }, 0] as const),
        ...[...facts.catalogue.contracts().keys()].map((model) => [{ model }, 1] as const),
      ];
    },
  );
  families.gauges(
    'imagen_model_circuit_open',
    '1 for a model that inferences found unavailable; its jobs stand aside',
    ['model'],
    () => facts.circuitsOpen().map((model) => [{ model: labels.model(model) }, 1] as const),
  );

  families.gauges(
    'imagen_replica_failing',
    '1 for a replica of Triton that answers, but fails at a model through its own fault',
    ['model', 'version', 'replica', 'fault'],
    () =>
      facts.sick().map(({ model, version, replica, fault }) => {
        return [{ ...labels.served(model, version), replica, fault }, 1] as const;
      }),
  );

  return {
    tritonAnswered({ model, version, transport, tookMs }: Attempt): void {
      roundTrips.observe({ ...labels.served(model, version), transport }, tookMs / 1000);
    },
    tritonFailed: (model: string, code: string) => errors.inc({ model: labels.model(model), code: labels.code(code) }),
  };
}
