/** Everything that people apply, built once for a file of tests. */
import { join, relative } from 'node:path';
import { applicable, build, k8sDir, type Manifest, readKustomization } from '../../../scripts/dev/k8s/kustomize.js';
import { type ConfigMap, type Container, type Deployment, ofKind, type PodSpec } from './manifest.js';
import { readText } from '../../support/deploy.js';

export interface Overlay {
  readonly name: string;
  readonly manifests: readonly Manifest[];
}

/** `triton` and `worker` are applied one after the other and make one whole. */
export async function buildOverlays(): Promise<Overlay[]> {
  const built = await Promise.all(applicable().map(async (name) => ({ name, manifests: await build(name) })));
  const isBase = ({ name }: Overlay) => name === 'triton' || name === 'worker';
  const base = built.filter(isBase).flatMap(({ manifests }) => manifests);
  return [{ name: 'triton and worker', manifests: base }, ...built.filter((overlay) => !isBase(overlay))];
}

export const workersOf = ({ manifests }: Overlay): Deployment[] =>
  ofKind(manifests, 'Deployment').filter(({ spec }) => spec.template.spec.containers.some(isWorker));

/** The container that does the work. */
export function workerIn({ containers }: PodSpec): Container {
  const found = containers.find(isWorker);
  if (!found) throw new Error('expected a container "worker"');
  return found;
}

export const isWorker = ({ name }: Container): boolean => name === 'worker';
export const isTriton = ({ name }: Container): boolean => name === 'triton';

export function configMap({ manifests }: Overlay, name: string): ConfigMap {
  const found = ofKind(manifests, 'ConfigMap').find(({ metadata }) => metadata.name === name);
  if (!found) throw new Error(`expected a ConfigMap ${name}`);
  return found;
}

/** What a container's process finds in its environment; a value that is known only in the cluster is `(field)` or `(secret)`. */
export function environmentOf(overlay: Overlay, { env = [], envFrom = [] }: Container): Record<string, string> {
  const whole = envFrom.map(({ configMapRef }) => configMap(overlay, configMapRef?.name ?? '').data ?? {});
  const single = env.map(({ name, value, valueFrom }) => {
    if (value !== undefined) return { [name]: value };
    const from = valueFrom?.configMapKeyRef;
    if (!from) return { [name]: valueFrom?.fieldRef ? '(field)' : '(secret)' };
    const text = configMap(overlay, from.name).data?.[from.key];
    if (text === undefined) throw new Error(`expected a key ${from.key} in ConfigMap ${from.name}`);
    return { [name]: text };
  });
  return Object.assign({}, ...whole, ...single) as Record<string, string>;
}

/** Bytes of all tensors that may be in flight at once: docs/pixels.md, with every model of the repository at its largest. */
export function tensorBytes(models: readonly string[]): number {
  return models.reduce(
    (sum, model) => sum + tensorBytesOf(readText(`triton/model_repository/${model}/config.pbtxt`)),
    0,
  );
}

function tensorBytesOf(config: string): number {
  const [, batch = ''] = /^max_batch_size: (\d+)/m.exec(config) ?? [];
  const [, instances = ''] = /^instance_group .*count: (\d+)/m.exec(config) ?? [];
  const parameter = (key: string) =>
    new RegExp(`key: "imagen.${key}" value { string_value: ["'](.*?)["'] }`).exec(config)?.[1];
  const inFlight = 2 * Number(batch) * Number(instances);
  const [width = 0, height = 0] = parameter('fit_size')?.split('x').map(Number) ?? [];
  const tile = Math.max(0, ...(JSON.parse(parameter('tile_sizes') ?? '[]') as number[]));
  const whole = parameter('plans')?.includes('whole') ? 2 * Number(parameter('max_whole_pixels')) : 0;
  const pixels = Math.max(inFlight * Math.max(tile ** 2, width * height), whole);
  const output = config.includes('name: "mask"') ? 1 / 3 : Number(parameter('scale')) ** 2;
  return pixels * 3 * (1 + output) * 2;
}

/** The folders under k8s/ that one is made of, itself included. */
export function partsOf(folder: string): string[] {
  const { resources = [], components = [] } = readKustomization(folder);
  const folders = [...resources, ...components].filter((name) => !name.endsWith('.yaml'));
  return [folder, ...folders.flatMap((name) => partsOf(relative(k8sDir, join(k8sDir, folder, name))))];
}
