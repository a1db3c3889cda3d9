/**
 * The worker's metrics, one file per subject. A new metric needs a line in its subject's file and one in docs/metrics.md. A
 * test compares the two.
 */
import { deliveryMetrics } from './deliveries.js';
import { type ExperimentFacts, experimentMetrics } from './experiments.js';
import { Families, type Family } from './families.js';
import { inferenceMetrics, type InferenceFacts } from './inference.js';
import { intakeMetrics, type IntakeFacts } from './intake.js';
import { jobMetrics } from './jobs.js';
import { createLabels } from './labels.js';
import { shadowMetrics, type ShadowFacts } from './shadows.js';
import { processMetrics, type ProcessFacts } from './process.js';
import { type TenantFacts, tenantMetrics } from './tenants.js';
import { tritonMetrics, type TritonFacts } from './triton.js';

/** Values read at every scrape. All other metrics are updated when something happens. */
export type Facts = IntakeFacts &
  TenantFacts &
  InferenceFacts &
  TritonFacts &
  ExperimentFacts &
  ShadowFacts &
  ProcessFacts;

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(facts: Facts) {
  const families = new Families();
  const labels = createLabels(facts.catalogue, facts.arms, facts.tenants);
  processMetrics(families, facts);
  intakeMetrics(families, facts);
  return {
    ...jobMetrics(families, labels, facts),
    ...tenantMetrics(families, labels, facts),
    ...deliveryMetrics(families, labels),
    ...inferenceMetrics(families, labels, facts),
    ...tritonMetrics(families, labels, facts),
    ...experimentMetrics(families, labels, facts),
    ...shadowMetrics(families, labels, facts),
    /** Families of imagen, without the default ones of prom-client. */
    families: families.made as readonly Family[],
    /** Renders all metrics in Prometheus' text format. */
    async render(): Promise<{ readonly contentType: string; readonly body: string }> {
      return { contentType: families.registry.contentType, body: await families.registry.metrics() };
    },
  };
}
