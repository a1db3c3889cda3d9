/**
 * The worker's metrics, a file for each subject. A new one is a line in its subject's file, and one in docs/metrics.md,
 * which a test compares with what is here.
 */
import { deliveryMetrics } from './deliveries.js';
import { type ExperimentFacts, experimentMetrics } from './experiments.js';
import { Families, type Family } from './families.js';
import { inferenceMetrics, type InferenceFacts } from './inference.js';
import { intakeMetrics, type IntakeFacts } from './intake.js';
import { jobMetrics } from './jobs.js';
import { createLabels } from './labels.js';
import { processMetrics, type ProcessFacts } from './process.js';
import { tritonMetrics, type TritonFacts } from './triton.js';

/** What is read when somebody asks; all the rest is told when it happens. */
export type Facts = IntakeFacts & InferenceFacts & TritonFacts & ExperimentFacts & ProcessFacts;

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(facts: Facts) {
  const families = new Families();
  const labels = createLabels(facts.catalogue, facts.arms);
  processMetrics(families, facts);
  intakeMetrics(families, facts);
  return {
    ...jobMetrics(families, labels, facts),
    ...deliveryMetrics(families, labels),
    ...inferenceMetrics(families, labels, facts),
    ...tritonMetrics(families, labels, facts),
    ...experimentMetrics(families, labels, facts),
    /** Those of imagen, without what prom-client adds of its own. */
    families: families.made as readonly Family[],
    /** Prometheus' text format. */
    async render(): Promise<{ readonly contentType: string; readonly body: string }> {
      return { contentType: families.registry.contentType, body: await families.registry.metrics() };
    },
  };
}
