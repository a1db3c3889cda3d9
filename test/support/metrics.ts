import type { ModelContract } from '../../src/domain/contract.js';
import { createMetrics, type Facts, type Metrics } from '../../src/telemetry/metrics/index.js';

/** A worker's metrics, of a worker of which nothing is to be told but `facts`. */
export function metricsOf(facts: Partial<Facts> = {}): Metrics {
  const nothing = () => 0;
  const none = () => [];
  return createMetrics({
    ...{
      jobsActive: nothing,
      jobsWaiting: nothing,
      jobsParked: nothing,
      tenants: [],
      jobsByTenant: () => new Map(),
      decodedBytes: nothing,
      paused: none,
      bucketsOpen: none,
    },
    ...{ codecsActive: nothing, codecsWaiting: nothing },
    ...{ load: none, learnedCosts: none, circuitsOpen: none, sick: none, tritonReady: () => false },
    ...{
      arms: none,
      armStopped: () => undefined,
      routed: none,
      shadowed: none,
      shadowsWaiting: nothing,
      shadowsActive: nothing,
    },
    limits: { jobs: 1, decodedBytes: 1 },
    catalogue: { contracts: () => new Map(), unready: () => new Map() },
    build: { version: '1.0.0', revision: 'abc', node: '20', sharp: '0.35' },
    ...facts,
  });
}

/** What Triton serves, as far as labels are concerned. */
export function catalogueOf(served: Readonly<Record<string, readonly string[]>>, unready: readonly string[] = []) {
  const contracts = Object.entries(served).map(
    ([model, versions]) =>
      [model, { versions: new Map(versions.map((v) => [v, {}])) } as unknown as ModelContract] as const,
  );
  return { contracts: () => new Map(contracts), unready: () => new Map(unready.map((name) => [name, 'loading'])) };
}
