/** Reads the autoscalers that are shipped, so that what is simulated is what is applied. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { root } from '../../dev/stack/paths.js';
import { DEFAULT_DOWN, DEFAULT_TOLERANCE, DEFAULT_UP, type HpaSpec, type Metric, type Rules } from './hpa.js';

const number = z.union([z.number(), z.string()]).transform((text) => {
  // Kubernetes' quantities, as far as they are used here: whole numbers, and thousandths written as "1500m".
  const value = typeof text === 'string' && text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(text);
  if (!Number.isFinite(value)) throw new TypeError(`expected a number, given ${text}`);
  return value;
});
const target = z.discriminatedUnion('type', [
  z.object({ type: z.literal('AverageValue'), averageValue: number }),
  z.object({ type: z.literal('Value'), value: number }),
]);
const named = z.object({ name: z.string() });
const metric = z.discriminatedUnion('type', [
  z.object({ type: z.literal('External'), external: z.object({ metric: named, target }) }),
  z.object({ type: z.literal('Pods'), pods: z.object({ metric: named, target }) }),
  z.object({
    type: z.literal('Resource'),
    resource: z.object({
      name: z.string(),
      target: z.object({ type: z.literal('Utilization'), averageUtilization: z.number() }),
    }),
  }),
]);
const rules = z.object({
  stabilizationWindowSeconds: z.number().optional(),
  selectPolicy: z.enum(['Max', 'Min']).optional(),
  policies: z
    .array(z.object({ type: z.enum(['Pods', 'Percent']), value: z.number(), periodSeconds: z.number() }))
    .optional(),
});
const manifest = z.object({
  kind: z.literal('HorizontalPodAutoscaler'),
  spec: z.object({
    minReplicas: z.number(),
    maxReplicas: z.number(),
    metrics: z.array(metric),
    behavior: z.object({ scaleUp: rules.optional(), scaleDown: rules.optional() }).optional(),
  }),
});

/**
 * @param patch a strategic merge over it, whose lists replace those of the file
 * @throws Error when the file is no HorizontalPodAutoscaler, or uses what the simulator does not know
 */
export function readHpa(file: string, patch?: string): HpaSpec {
  const read = (name: string) => parse(readFileSync(join(root, name), 'utf8')) as { spec: object };
  const base = read(file);
  const { spec } = manifest.parse(
    patch === undefined ? base : { ...base, spec: { ...base.spec, ...read(patch).spec } },
  );
  return {
    minReplicas: spec.minReplicas,
    maxReplicas: spec.maxReplicas,
    metrics: spec.metrics.map(toMetric),
    scaleUp: withDefaults(spec.behavior?.scaleUp, DEFAULT_UP),
    scaleDown: withDefaults(spec.behavior?.scaleDown, DEFAULT_DOWN),
    tolerance: DEFAULT_TOLERANCE,
  };
}

function toMetric(found: z.infer<typeof metric>): Metric {
  if (found.type === 'Resource') {
    const { name, target } = found.resource;
    return { type: 'Resource', name, averageValue: target.averageUtilization / 100 };
  }
  const { metric, target } = found.type === 'External' ? found.external : found.pods;
  const { name } = metric;
  if (found.type === 'External') {
    return target.type === 'AverageValue'
      ? { type: 'External', name, averageValue: target.averageValue }
      : { type: 'External', name, value: target.value };
  }
  if (target.type === 'AverageValue') return { type: 'Pods', name, averageValue: target.averageValue };
  throw new TypeError(`${name}: expected an AverageValue for a metric of type Pods`);
}

function withDefaults(found: z.infer<typeof rules> | undefined, defaults: Rules): Rules {
  return {
    stabilizationWindowSeconds: found?.stabilizationWindowSeconds ?? defaults.stabilizationWindowSeconds,
    policies: found?.policies ?? defaults.policies,
    selectPolicy: found?.selectPolicy ?? defaults.selectPolicy,
  };
}
