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
const utilization = z.object({ type: z.literal('Utilization'), averageUtilization: z.number() });
const metric = z.discriminatedUnion('type', [
  z.object({ type: z.literal('External'), external: z.object({ metric: named, target }) }),
  z.object({ type: z.literal('Pods'), pods: z.object({ metric: named, target }) }),
  z.object({ type: z.literal('Resource'), resource: named.extend({ target: utilization }) }),
]);
const policy = z.object({ type: z.enum(['Pods', 'Percent']), value: z.number(), periodSeconds: z.number() });
/** What a manifest leaves out is Kubernetes' default. */
const rules = (defaults: Rules) =>
  z
    .object({
      stabilizationWindowSeconds: z.number().default(defaults.stabilizationWindowSeconds),
      selectPolicy: z.enum(['Max', 'Min']).default(defaults.selectPolicy),
      policies: z.array(policy).default([...defaults.policies]),
    })
    .default(() => ({ ...defaults, policies: [...defaults.policies] }));
const manifest = z.object({
  kind: z.literal('HorizontalPodAutoscaler'),
  spec: z.object({
    minReplicas: z.number(),
    maxReplicas: z.number(),
    metrics: z.array(metric),
    behavior: z.object({ scaleUp: rules(DEFAULT_UP), scaleDown: rules(DEFAULT_DOWN) }).prefault({}),
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
  const { minReplicas, maxReplicas, behavior } = spec;
  return { minReplicas, maxReplicas, metrics: spec.metrics.map(toMetric), ...behavior, tolerance: DEFAULT_TOLERANCE };
}

function toMetric(found: z.infer<typeof metric>): Metric {
  if (found.type === 'Resource') {
    const { name, target } = found.resource;
    return { type: 'Resource', name, averageValue: target.averageUtilization / 100 };
  }
  const { metric, target } = found.type === 'External' ? found.external : found.pods;
  const { name } = metric;
  if (target.type === 'AverageValue') return { type: found.type, name, averageValue: target.averageValue };
  if (found.type === 'External') return { type: 'External', name, value: target.value };
  throw new TypeError(`${name}: expected an AverageValue for a metric of type Pods`);
}
