/** Reads the autoscalers that are shipped, so that what is simulated is what is applied. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from '../../dev/stack/paths.js';
import { DEFAULT_DOWN, DEFAULT_TOLERANCE, DEFAULT_UP, type HpaSpec, type Metric, type Rules } from './hpa.js';

interface Spec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly Shipped[];
  readonly behavior?: { readonly scaleUp?: Partial<Rules>; readonly scaleDown?: Partial<Rules> };
}

interface Shipped {
  readonly type: Metric['type'];
  readonly external?: { readonly metric: { readonly name: string }; readonly target: Target };
  readonly pods?: Shipped['external'];
  readonly resource?: { readonly name: string; readonly target: { readonly averageUtilization: number } };
}

interface Target {
  readonly averageValue?: string | number;
  readonly value?: string | number;
}

/**
 * @param patch a strategic merge over it, whose lists replace those of the file
 * @throws Error when a metric is none that the simulator knows
 */
export function readHpa(file: string, patch?: string): HpaSpec {
  const read = (name: string) => (parse(readFileSync(join(root, name), 'utf8')) as { readonly spec: Spec }).spec;
  const spec = { ...read(file), ...(patch === undefined ? {} : read(patch)) };
  const { minReplicas, maxReplicas, metrics, behavior } = spec;
  return {
    ...{ minReplicas, maxReplicas, metrics: metrics.map(toMetric), tolerance: DEFAULT_TOLERANCE },
    scaleUp: { ...DEFAULT_UP, ...behavior?.scaleUp },
    scaleDown: { ...DEFAULT_DOWN, ...behavior?.scaleDown },
  };
}

function toMetric(shipped: Shipped): Metric {
  const { type, resource } = shipped;
  if (resource) return { type, name: resource.name, averageValue: resource.target.averageUtilization / 100 };
  const { metric, target } = shipped.external ?? shipped.pods ?? {};
  const name = metric?.name ?? '';
  if (target?.averageValue !== undefined) return { type, name, averageValue: quantity(target.averageValue) };
  if (type === 'External' && target?.value !== undefined) return { type, name, value: quantity(target.value) };
  throw new TypeError(`expected a metric that the simulator knows, given ${JSON.stringify(shipped)}`);
}

/** Kubernetes' quantities, as far as they are used here: whole numbers, and thousandths written as "1500m". */
function quantity(text: string | number): number {
  const value = String(text).endsWith('m') ? Number(String(text).slice(0, -1)) / 1000 : Number(text);
  if (!Number.isFinite(value)) throw new TypeError(`expected a number, given ${text}`);
  return value;
}
