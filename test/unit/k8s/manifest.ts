/** The parts of Kubernetes' objects that the tests look at. What is really permitted is for the schemas to say. */
import type { RuleGroup } from '../../../scripts/dev/parts/rules.js';
import type { Labels, Manifest } from '../../../scripts/dev/k8s/kustomize.js';

export interface Selector {
  readonly matchLabels?: Labels;
}

export interface Deployment extends Manifest {
  readonly kind: 'Deployment';
  readonly spec: {
    readonly replicas?: number;
    readonly selector: Selector;
    readonly strategy?: unknown;
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  };
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly nodeSelector?: Labels;
  readonly securityContext?: SecurityContext;
}

export interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly emptyDir?: { readonly sizeLimit?: string; readonly medium?: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly hostPath?: unknown;
}

export interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly seccompProfile?: { readonly type: string };
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** Of an init container: `Always` makes it a sidecar. */
  readonly restartPolicy?: string;
  readonly env?: readonly EnvironmentVariable[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly exec?: { readonly command: readonly string[] } } };
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>;
    readonly limits?: Readonly<Record<string, string | number>>;
  };
  readonly securityContext?: SecurityContext;
}

export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
    readonly fieldRef?: object;
    readonly secretKeyRef?: { readonly name: string; readonly key: string; readonly optional?: boolean };
  };
}

export interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly exec?: { readonly command: readonly string[] };
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

export interface ConfigMap extends Manifest {
  readonly kind: 'ConfigMap';
  readonly data?: Readonly<Record<string, string>>;
}

export interface Service extends Manifest {
  readonly kind: 'Service';
  readonly spec: {
    readonly clusterIP?: string;
    readonly selector: Labels;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string | number }[];
  };
}

export interface NetworkPolicy extends Manifest {
  readonly kind: 'NetworkPolicy';
  readonly spec: {
    readonly podSelector: Selector;
    readonly policyTypes: readonly string[];
    readonly ingress?: readonly { readonly from?: readonly Peer[]; readonly ports?: readonly PolicyPort[] }[];
    readonly egress?: readonly { readonly to?: readonly Peer[]; readonly ports?: readonly PolicyPort[] }[];
  };
}
interface Peer {
  readonly podSelector?: Selector;
}
interface PolicyPort {
  readonly port: string | number;
}

interface Target {
  readonly kind?: string;
  readonly name: string;
}

export interface Autoscaler extends Manifest {
  readonly kind: 'HorizontalPodAutoscaler';
  readonly spec: {
    readonly scaleTargetRef: Target;
    readonly minReplicas?: number;
    readonly maxReplicas: number;
    readonly metrics: readonly {
      readonly type: string;
      readonly external?: Measured;
      readonly pods?: Measured;
      readonly resource?: { readonly name: string; readonly target: MetricTarget };
    }[];
    readonly behavior?: unknown;
  };
}

interface Measured {
  readonly metric: { readonly name: string; readonly selector?: Selector };
  readonly target: MetricTarget;
}

export interface MetricTarget {
  readonly type: string;
  readonly averageValue?: string;
  readonly value?: string;
}

export interface ScaledObject extends Manifest {
  readonly kind: 'ScaledObject';
  readonly spec: {
    readonly scaleTargetRef: Target;
    readonly minReplicaCount?: number;
    readonly maxReplicaCount?: number;
    readonly advanced?: { readonly horizontalPodAutoscalerConfig?: { readonly behavior?: unknown } };
    readonly triggers: readonly {
      readonly type: string;
      readonly metricType?: string;
      readonly metadata: Labels;
      readonly authenticationRef?: { readonly name: string };
    }[];
  };
}

export interface DisruptionBudget extends Manifest {
  readonly kind: 'PodDisruptionBudget';
  readonly spec: { readonly selector: Selector };
}

export interface PodMonitoring extends Manifest {
  readonly kind: 'PodMonitoring';
  readonly spec: {
    readonly selector: Selector;
    readonly endpoints: readonly { readonly port: string | number; readonly path?: string }[];
  };
}

export interface Rules extends Manifest {
  readonly kind: 'Rules';
  readonly spec: { readonly groups: readonly RuleGroup[] };
}

interface Kinds {
  Deployment: Deployment;
  ConfigMap: ConfigMap;
  Service: Service;
  NetworkPolicy: NetworkPolicy;
  HorizontalPodAutoscaler: Autoscaler;
  ScaledObject: ScaledObject;
  PodDisruptionBudget: DisruptionBudget;
  PodMonitoring: PodMonitoring;
  Rules: Rules;
}

export function ofKind<K extends keyof Kinds>(manifests: readonly Manifest[], kind: K): Kinds[K][] {
  return manifests.filter((manifest): manifest is Kinds[K] => manifest.kind === kind);
}

/** Every container that is there while the pod serves: sidecars too. */
export const serving = ({ containers, initContainers = [] }: PodSpec): Container[] => [
  ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always'),
  ...containers,
];

export const allContainers = ({ containers, initContainers = [] }: PodSpec): Container[] => [
  ...initContainers,
  ...containers,
];

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** @throws Error where it is none of Kubernetes' quantities, as far as they are used here */
export function quantity(text: string | number): number {
  const [, number = '', unit = ''] = /^([0-9.]+)([A-Za-z]*)$/.exec(String(text)) ?? [];
  const factor = UNITS[unit];
  if (number === '' || factor === undefined) throw new Error(`expected a quantity, given ${text}`);
  return Number(number) * factor;
}
