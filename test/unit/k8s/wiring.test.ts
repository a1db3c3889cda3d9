/** Whatever names something else in the manifests names what is there: in the same overlay, or in the code. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { kustomizations, applicable, type Labels } from '../../../scripts/dev/k8s/kustomize.js';
import {
  allContainers,
  type Container,
  type Deployment,
  type MetricTarget,
  ofKind,
  type PodSpec,
  type Selector,
  serving,
} from './manifest.js';
import { shareOut } from '../../../src/adapters/pubsub/filters.js';
import { readConfig } from '../../../src/config/index.js';
import { parseRoutes } from '../../../src/domain/routes.js';
import { metricsOf } from '../../support/metrics.js';
import {
  buildOverlays,
  configMap,
  environmentOf,
  isTriton,
  type Overlay,
  partsOf,
  workerIn,
  workersOf,
} from './overlays.js';

const overlays = await buildOverlays();
const models = readdirSync(new URL('../../../triton/model_repository', import.meta.url));

const workerMetrics = metricsOf().families.map(({ name }) => name);

const deploymentsOf = ({ manifests }: Overlay) => ofKind(manifests, 'Deployment');
const selected = (overlay: Overlay, labels: Labels | undefined) =>
  deploymentsOf(overlay).filter(({ spec }) =>
    Object.entries(labels ?? {}).every(([name, value]) => spec.template.metadata.labels[name] === value),
  );
const podsOf = (overlay: Overlay, { matchLabels }: Selector): PodSpec[] =>
  selected(overlay, matchLabels).map(({ spec }) => spec.template.spec);
const portsOf = (pods: readonly PodSpec[]) =>
  pods
    .flatMap((pod) => serving(pod).flatMap(({ ports = [] }) => ports))
    .flatMap((port) => [port.name, port.containerPort]);
const namesOf = ({ manifests }: Overlay, kind: string) =>
  manifests.filter((manifest) => manifest.kind === kind).map(({ metadata }) => metadata.name);
function named(name: string): Overlay {
  const found = overlays.find((overlay) => overlay.name === name);
  if (!found) throw new Error(`expected ${name}`);
  return found;
}

describe.each(overlays)('$name', (overlay) => {
  const { manifests } = overlay;
  const pods = deploymentsOf(overlay).map(({ spec }) => spec.template.spec);

  it('has every object once, all in the namespace', () => {
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { kind, metadata } of manifests) {
      const ofNone = kind === 'Namespace' || kind === 'GlobalRules';
      expect(`${kind} ${metadata.namespace ?? ''}`).toBe(`${kind} ${ofNone ? '' : 'imagen'}`);
      expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/part-of': 'imagen' });
    }
  });

  it('has no secret in it', () => {
    expect(namesOf(overlay, 'Secret')).toEqual([]);
    for (const { env = [] } of pods.flatMap(allContainers)) {
      for (const { valueFrom } of env) if (valueFrom?.secretKeyRef) expect(valueFrom.secretKeyRef.optional).toBe(true);
    }
  });

  it('demands of pods what Pod Security calls restricted', () => {
    const [namespace] = manifests.filter(({ kind }) => kind === 'Namespace');
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
  });

  it('no pod is two Deployments’, or in two budgets', () => {
    for (const { spec } of deploymentsOf(overlay)) expect(selected(overlay, spec.selector.matchLabels)).toHaveLength(1);
    const budgets = ofKind(manifests, 'PodDisruptionBudget').flatMap(({ spec }) => {
      const pods = selected(overlay, spec.selector.matchLabels);
      expect(pods).toHaveLength(1);
      return pods;
    });
    expect(new Set(budgets).size).toBe(budgets.length);
  });

  it('Services lead to ports of pods', () => {
    for (const { spec } of ofKind(manifests, 'Service')) {
      const ports = portsOf(podsOf(overlay, { matchLabels: spec.selector }));
      for (const { targetPort } of spec.ports) expect(ports).toContain(targetPort);
    }
  });

  it('NetworkPolicies let through what is there', () => {
    for (const { spec } of ofKind(manifests, 'NetworkPolicy')) {
      const own = portsOf(podsOf(overlay, spec.podSelector));
      for (const { from = [], ports = [] } of spec.ingress ?? []) {
        for (const { port } of ports) expect(own).toContain(port);
        for (const { podSelector } of from) if (podSelector) expect(podsOf(overlay, podSelector)).not.toEqual([]);
      }
      for (const { to = [], ports = [] } of spec.egress ?? []) {
        for (const { podSelector } of to) {
          if (!podSelector) continue;
          const theirs = portsOf(podsOf(overlay, podSelector));
          for (const { port } of ports) expect(theirs).toContain(port);
        }
      }
    }
  });

  it('every pod is behind one that is closed in both directions, and nobody comes in by Triton’s HTTP', () => {
    const policies = ofKind(manifests, 'NetworkPolicy');
    for (const { spec } of deploymentsOf(overlay)) {
      const [policy, ...more] = policies.filter(({ spec: { podSelector } }) =>
        podsOf(overlay, podSelector).includes(spec.template.spec),
      );
      expect(more).toEqual([]);
      expect(policy?.spec.policyTypes).toEqual(['Ingress', 'Egress']);
      const open = (policy?.spec.ingress ?? []).flatMap(({ ports = [] }) => ports.map(({ port }) => port));
      expect(open).not.toEqual([]);
      expect(open).not.toContain(8000);
      if (spec.template.spec.containers.some(isTriton)) expect(open).toEqual(['grpc', 'metrics']);
    }
  });

  it('workers may go where their settings send them', () => {
    for (const { spec } of workersOf(overlay)) {
      const pod = spec.template.spec;
      const { tritonUrl } = readConfig(environmentOf(overlay, workerIn(pod)), ['tritonUrl']);
      const [, host = '', port = ''] = /^(?:dns:\/\/\/)?(.+):(\d+)$/.exec(tritonUrl) ?? [];
      if (host === '127.0.0.1') {
        const sidecar = serving(pod).find(isTriton);
        const shared = (container: Container | undefined) =>
          container?.volumeMounts?.find(({ mountPath }) => mountPath === '/dev/shm')?.name;
        expect(sidecar && environmentOf(overlay, sidecar)).toMatchObject({
          ...{ TRITON_GRPC_ADDRESS: '127.0.0.1', TRITON_HTTP_ADDRESS: '127.0.0.1' },
        });
        expect(shared(sidecar)).toBeDefined();
        expect(shared(sidecar)).toBe(shared(workerIn(pod)));
        continue;
      }
      const service = ofKind(manifests, 'Service').find(
        ({ metadata }) => host === `${metadata.name}.imagen.svc.cluster.local`,
      );
      expect(service?.spec).toMatchObject({ clusterIP: 'None' });
      expect(service?.spec.ports.map((port) => String(port.port))).toContain(port);
      const out = ofKind(manifests, 'NetworkPolicy')
        .filter(({ spec }) => podsOf(overlay, spec.podSelector).includes(pod))
        .flatMap(({ spec }) => spec.egress ?? [])
        .filter(({ to = [] }) => to.some(({ podSelector }) => podSelector));
      expect(out.flatMap(({ ports = [] }) => ports.map((port) => String(port.port)))).toEqual([port]);
    }
  });

  it('PodMonitorings find ports of pods', () => {
    for (const { spec } of ofKind(manifests, 'PodMonitoring')) {
      const ports = portsOf(podsOf(overlay, spec.selector));
      for (const { port, path } of spec.endpoints) {
        expect(ports).toContain(port);
        expect(path).toBe('/metrics');
      }
    }
  });

  it('pods find their ConfigMaps, keys, volumes and mounts', () => {
    for (const pod of pods) {
      for (const container of allContainers(pod)) {
        environmentOf(overlay, container); // throws for a map or key that is not there
        const volumes = pod.volumes?.map(({ name }) => name) ?? [];
        for (const { name } of container.volumeMounts ?? []) expect(volumes).toContain(name);
      }
      for (const { name, configMap, persistentVolumeClaim } of pod.volumes ?? []) {
        if (configMap) expect(namesOf(overlay, 'ConfigMap')).toContain(configMap.name);
        if (persistentVolumeClaim) {
          expect(namesOf(overlay, 'PersistentVolumeClaim')).toContain(persistentVolumeClaim.claimName);
        }
        const mounted = allContainers(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
        expect(mounted).toContain(name);
      }
    }
  });

  it('a change of the settings rolls the workers', () => {
    for (const { spec } of workersOf(overlay)) {
      const maps = workerIn(spec.template.spec).envFrom?.map(({ configMapRef }) => configMapRef?.name);
      expect(maps).toEqual([expect.stringMatching(/^imagen-worker-[a-z0-9]{10}$/)]);
    }
  });

  it('the routes are mounted where workers look for them, and name models that there are', () => {
    for (const { spec } of workersOf(overlay)) {
      const pod = spec.template.spec;
      const { routesFile = '' } = readConfig(environmentOf(overlay, workerIn(pod)), ['routesFile']);
      const mount = workerIn(pod).volumeMounts?.find(({ mountPath }) => routesFile.startsWith(`${mountPath}/`));
      const volume = pod.volumes?.find(({ name }) => name === mount?.name);
      const file = routesFile.slice((mount?.mountPath.length ?? 0) + 1);
      const text = configMap(overlay, volume?.configMap?.name ?? '').data?.[file] ?? '';
      expect(() => parseRoutes(text)).not.toThrow();
      for (const model of Object.keys((JSON.parse(text) as { models: object }).models)) expect(models).toContain(model);
    }
  });
});

describe('autoscalers', () => {
  interface Backlog {
    readonly name: string;
    readonly overlay: Overlay;
    readonly target: string;
    /** Messages for each worker. */
    readonly perWorker: number;
    /** Whatever names the subscription. */
    readonly of: string;
    readonly least: number;
  }
  const isBacklog = (metric: string) => metric.endsWith('num_undelivered_messages');
  const isPubsub = (metric: string) => metric.startsWith('pubsub.googleapis.com|subscription|');
  /** What Managed Prometheus has in an overlay: the workers' own metrics, and what rules record. */
  const collectedIn = ({ manifests }: Overlay) => [
    ...(ofKind(manifests, 'PodMonitoring').some(({ metadata }) => metadata.name === 'imagen-worker')
      ? workerMetrics
      : []),
    ...ofKind(manifests, 'Rules').flatMap(({ spec }) =>
      spec.groups.flatMap(({ rules }) => rules.map(({ record }) => record)),
    ),
  ];
  const backlogs: Backlog[] = overlays.flatMap((overlay) => [
    ...ofKind(overlay.manifests, 'HorizontalPodAutoscaler').flatMap(({ metadata, spec }) =>
      spec.metrics.flatMap(({ external }) =>
        external && isBacklog(external.metric.name)
          ? {
              ...{ name: `${overlay.name}: ${metadata.name}`, overlay, target: spec.scaleTargetRef.name },
              perWorker: Number(external.target.averageValue),
              of: external.metric.selector?.matchLabels?.['resource.labels.subscription_id'] ?? '',
              least: spec.minReplicas ?? 0,
            }
          : [],
      ),
    ),
    ...ofKind(overlay.manifests, 'ScaledObject').flatMap(({ metadata, spec }) =>
      spec.triggers
        .filter(({ metadata: { query = '' } }) => query.includes('subscription_num_undelivered_messages'))
        .map((trigger) => ({
          ...{ name: `${overlay.name}: ${metadata.name}`, overlay, target: spec.scaleTargetRef.name },
          perWorker: Number(trigger.metadata.threshold),
          of: /subscription_id="(.*?)"/.exec(trigger.metadata.query ?? '')?.[1] ?? '',
          least: spec.minReplicaCount ?? 0,
        })),
    ),
  ]);

  it('there are some', () => expect(backlogs.length).toBeGreaterThanOrEqual(11));

  const pulledBy = (overlay: Overlay, { spec }: Deployment) => {
    const env = environmentOf(overlay, workerIn(spec.template.spec));
    return readConfig(env, ['jobsSubscriptions']).jobsSubscriptions.map(({ name }) => name);
  };

  it.each(backlogs)('$name: looks at the subscriptions of those that it scales', ({ overlay, target, of }) => {
    // Triton has none: what all workers pull ends there.
    const own = workersOf(overlay).filter(({ metadata }) => metadata.name === target);
    const workers = own.length > 0 ? own : workersOf(overlay);
    expect(workers.flatMap((worker) => pulledBy(overlay, worker))).toEqual([of]);
  });

  it.each(backlogs)('$name: what a worker holds is less than its target', ({ overlay, perWorker }) => {
    for (const { spec } of workersOf(overlay)) {
      const env = environmentOf(overlay, workerIn(spec.template.spec));
      expect(perWorker).toBeGreaterThan(readConfig(env, ['maxJobs']).maxJobs * 1.5);
    }
  });

  it.each(backlogs)('$name: keeps one worker at least', ({ least }) => expect(least).toBeGreaterThanOrEqual(1));

  it.each(
    overlays.flatMap((overlay) =>
      ofKind(overlay.manifests, 'HorizontalPodAutoscaler').map((hpa) => ({ overlay, hpa })),
    ),
  )('$overlay.name: $hpa.metadata.name scales what is there, by what is collected', ({ overlay, hpa: { spec } }) => {
    expect(spec.scaleTargetRef).toMatchObject({ apiVersion: 'apps/v1', kind: 'Deployment' });
    expect(namesOf(overlay, 'Deployment')).toContain(spec.scaleTargetRef.name);
    for (const { external, pods, resource } of spec.metrics) {
      const name = (external ?? pods)?.metric.name;
      if (name === undefined) expect(resource?.name).toBe('cpu');
      else if (isPubsub(name)) expect(external?.metric.selector?.matchLabels).toBeDefined();
      else {
        const metric = /^prometheus\.googleapis\.com\|(.*)\|gauge$/.exec(name)?.[1];
        // Without an overlay there is no collector: the other metrics go on, and nobody is taken away.
        if (overlay.name.startsWith('overlays/')) expect(collectedIn(overlay)).toContain(metric);
        else expect(workerMetrics).toContain(metric);
      }
    }
  });

  it('there is one for each Deployment at the most', () => {
    for (const overlay of overlays) {
      const targets = [
        ...ofKind(overlay.manifests, 'HorizontalPodAutoscaler'),
        ...ofKind(overlay.manifests, 'ScaledObject'),
      ].map(({ spec }) => spec.scaleTargetRef.name);
      expect(new Set(targets).size).toBe(targets.length);
    }
  });

  it('rules for Triton are where Triton is collected', () => {
    const counted = overlays.filter(({ manifests }) => ofKind(manifests, 'Rules').length > 0);
    expect(counted.length).toBeGreaterThan(0);
    for (const overlay of counted) {
      const collected = ofKind(overlay.manifests, 'PodMonitoring').flatMap(({ spec }) =>
        spec.endpoints.map(({ port }) => port),
      );
      expect(collected.some((port) => String(port).endsWith('metrics'))).toBe(true);
    }
  });

  it('Triton has one only where many can read its models', () => {
    const scaled = overlays.filter(({ manifests }) =>
      ofKind(manifests, 'HorizontalPodAutoscaler').some(({ spec }) => spec.scaleTargetRef.name === 'triton'),
    );
    expect(scaled.map(({ name }) => name)).toEqual(['overlays/gke-gcs-repository']);
    for (const overlay of scaled) {
      expect(namesOf(overlay, 'PersistentVolumeClaim')).toEqual([]);
      const [triton] = deploymentsOf(overlay).filter(({ metadata }) => metadata.name === 'triton');
      const [container] = triton?.spec.template.spec.containers ?? [];
      expect(container && environmentOf(overlay, container).MODEL_REPOSITORY).toMatch(/^gs:\/\//);
    }
  });

  it('KEDA does as the HPA would', () => {
    const keda = named('overlays/gke-keda');
    const [scaled] = ofKind(keda.manifests, 'ScaledObject');
    const [hpa] = ofKind(named('overlays/gke').manifests, 'HorizontalPodAutoscaler');
    const inWords = ({ type, ...figure }: MetricTarget) => `${type} ${Object.values(figure).join()}`;
    const targets = hpa?.spec.metrics.map(({ external, pods, resource }) => (external ?? pods ?? resource)?.target);
    expect(
      scaled?.spec.triggers.map(
        ({ metricType, metadata: { threshold, value } }) => `${metricType ?? ''} ${threshold ?? value ?? ''}`,
      ),
    ).toEqual(targets?.map((target) => target && inWords(target)));
    expect(scaled?.spec.minReplicaCount).toBe(hpa?.spec.minReplicas);
    expect(scaled?.spec.maxReplicaCount).toBe(hpa?.spec.maxReplicas);
    expect(scaled?.spec.advanced?.horizontalPodAutoscalerConfig?.behavior).toEqual(hpa?.spec.behavior);
    const authentications = scaled?.spec.triggers.flatMap(({ authenticationRef }) => authenticationRef?.name ?? []);
    expect([...new Set(authentications)]).toEqual(namesOf(keda, 'TriggerAuthentication'));
  });
});

describe('overlays', () => {
  it.each(kustomizations('Component'))('%s is part of one', (component) => {
    expect(applicable().flatMap(partsOf)).toContain(component);
  });

  it.each(kustomizations('Kustomization').filter((name) => !applicable().includes(name)))(
    '%s is part of one',
    (part) => {
      expect(applicable().flatMap(partsOf)).toContain(part);
    },
  );

  it('those for Google Cloud take project and images from one file', () => {
    for (const name of applicable().filter((name) => name.startsWith('overlays/gke'))) {
      expect(partsOf(name)).toContain('google-cloud');
      const images = deploymentsOf(named(name)).flatMap(({ spec }) => allContainers(spec.template.spec));
      for (const { image } of images) expect(image).toMatch(/^europe-west4-docker\.pkg\.dev\/my-project\/imagen\//);
    }
  });

  it('gke-per-model has workers for every subscription that `imagen setup --per-model` makes', () => {
    const overlay = named('overlays/gke-per-model');
    const pulled = workersOf(overlay).flatMap(({ spec }) => {
      const env = environmentOf(overlay, workerIn(spec.template.spec));
      return readConfig(env, ['jobsSubscriptions']).jobsSubscriptions.map(({ name }) => name);
    });
    const wanted = shareOut({ models, byPriority: false }).map(({ suffix }) => `imagen-jobs-worker-${suffix}`);
    expect(pulled.sort()).toEqual(wanted.sort());
  });
});
