/** The shipped manifests, with what counts in seconds divided by the clock's factor. */
import { stringify } from 'yaml';
import { build, kubectl, type Manifest } from '../../dev/k8s/kustomize.js';
import { run } from '../../dev/run.js';
import { DEFAULT_DOWN, DEFAULT_UP, type Rules } from '../autoscale/hpa.js';
import type { Limits } from '../autoscale/plant.js';
import { wholeSeconds } from './clock.js';

/** The overlay in which workers and Triton scale. */
const OVERLAY = 'overlays/gke-gcs-repository';

/** What the pods of the overlay need to be created; monitoring and networks have no part in this. */
const KINDS = ['Namespace', 'ServiceAccount', 'ConfigMap', 'Deployment', 'HorizontalPodAutoscaler'];

interface Autoscaler extends Manifest {
  readonly spec: {
    readonly minReplicas: number;
    readonly maxReplicas: number;
    readonly behavior?: { readonly scaleUp?: Partial<Rules>; readonly scaleDown?: Partial<Rules> };
  };
}

/** Applies what runs of the overlay. @param limits of each autoscaler, by its name */
export async function applyCompressed(kubeconfig: string, limits: Readonly<Record<string, Limits>>): Promise<void> {
  const wanted = (await build(OVERLAY)).filter(({ kind }) => KINDS.includes(kind));
  const manifests = wanted.map((manifest) =>
    manifest.kind === 'HorizontalPodAutoscaler' ? compress(manifest as Autoscaler, limits) : manifest,
  );
  const input = manifests.map((manifest) => stringify(manifest)).join('---\n');
  await run(await kubectl(), ['--kubeconfig', kubeconfig, 'apply', '--server-side', '--filename=-'], { input });
}

/** What is left out is written down, since Kubernetes' defaults are seconds as well. */
export function compress(autoscaler: Autoscaler, limits: Readonly<Record<string, Limits>>): Autoscaler {
  const { metadata, spec } = autoscaler;
  const limit = limits[metadata.name];
  if (!limit)
    throw new TypeError(`expected an autoscaler of ${Object.keys(limits).join(' or ')}, given ${metadata.name}`);
  const compressed = (rules: Rules) => ({
    ...rules,
    stabilizationWindowSeconds: wholeSeconds(rules.stabilizationWindowSeconds),
    policies: rules.policies.map((policy) => ({ ...policy, periodSeconds: wholeSeconds(policy.periodSeconds) })),
  });
  const behavior = {
    scaleUp: compressed({ ...DEFAULT_UP, ...spec.behavior?.scaleUp }),
    scaleDown: compressed({ ...DEFAULT_DOWN, ...spec.behavior?.scaleDown }),
  };
  return { ...autoscaler, spec: { ...spec, minReplicas: limit.min, maxReplicas: limit.max, behavior } };
}
