/** What is demanded of every pod, in whatever overlay. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allContainers, ofKind, quantity, serving } from './manifest.js';
import { unknownVariables } from '../../../src/config/index.js';
import { memoryOf } from '../../../src/pipeline/memory.js';
import { keptForSmall } from '../../../src/scheduling/budget.js';
import { POOL_THREADS } from '../../../src/scheduling/codecs.js';
import { startStatusServer } from '../../../src/telemetry/http.js';
import { readText, settingNames, tritonFlag, workerConfig } from '../../support/deploy.js';
import { buildOverlays, environmentOf, isTriton, isWorker, tensorBytes, workerIn, workersOf } from './overlays.js';

const MIB = 1024 ** 2;
const models = readdirSync(new URL('../../../triton/model_repository', import.meta.url));
const overlays = await buildOverlays();
const pods = overlays.flatMap((overlay) =>
  ofKind(overlay.manifests, 'Deployment').map((deployment) => ({
    name: `${overlay.name}: ${deployment.metadata.name}`,
    overlay,
    deployment,
    pod: deployment.spec.template.spec,
  })),
);
const containers = pods.flatMap(({ name, pod }) =>
  allContainers(pod).map((container) => ({ name: `${name}/${container.name}`, pod, container })),
);
const workers = overlays.flatMap((overlay) =>
  workersOf(overlay).map((deployment) => ({
    ...{ name: `${overlay.name}: ${deployment.metadata.name}`, overlay, deployment },
    ...{ pod: deployment.spec.template.spec, container: workerIn(deployment.spec.template.spec) },
  })),
);
const configOf = ({ overlay, container }: (typeof workers)[number]) => workerConfig(environmentOf(overlay, container));

describe.each(pods)('$name', ({ overlay, deployment, pod }) => {
  it('runs as somebody else than root, with few rights', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
    expect(pod.securityContext?.runAsGroup).toBeGreaterThan(0);
    for (const { securityContext } of allContainers(pod)) {
      expect(securityContext).toEqual({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  it('keeps to itself', () => {
    expect(pod).not.toHaveProperty('hostNetwork');
    expect(pod).not.toHaveProperty('hostPID');
    expect(pod).not.toHaveProperty('hostIPC');
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    for (const volume of pod.volumes ?? []) {
      expect(volume).not.toHaveProperty('hostPath');
      if (volume.emptyDir) expect(volume.emptyDir.sizeLimit).toBeDefined();
    }
  });

  it('has an account of its own', () => {
    const accounts = overlay.manifests.filter(({ kind }) => kind === 'ServiceAccount');
    expect(accounts.map(({ metadata }) => metadata.name)).toContain(pod.serviceAccountName);
    expect(pod.serviceAccountName).not.toBe('default');
  });

  it('is in the namespace', () => expect(deployment.metadata.namespace).toBe('imagen'));
});

describe.each(containers)('$name', ({ container: { image, resources } }) => {
  it('has an image of one version', () => expect(image).toMatch(/:(?!latest$)[\w.-]+$/));

  it('says what it needs', () => {
    expect(quantity(resources?.requests?.cpu ?? 0)).toBeGreaterThan(0);
    expect(quantity(resources?.requests?.memory ?? 0)).toBeGreaterThan(0);
    expect(quantity(resources?.limits?.memory ?? 0)).toBeGreaterThanOrEqual(
      quantity(resources?.requests?.memory ?? Infinity),
    );
    expect(resources?.requests?.['nvidia.com/gpu']).toBe(resources?.limits?.['nvidia.com/gpu']);
  });
});

describe('GPUs', () => {
  it.each(pods)('$name: one for a Triton, none for others', ({ overlay, pod }) => {
    const wanted = serving(pod).some(isTriton) && overlay.name !== 'overlays/local' ? [1] : [];
    const gpus = allContainers(pod).flatMap(({ resources }) => resources?.limits?.['nvidia.com/gpu'] ?? []);
    expect(gpus).toEqual(wanted);
    expect(pod.nodeSelector?.['cloud.google.com/gke-accelerator']).toBe(wanted[0] && 'nvidia-tesla-t4');
  });
});

describe('probes', () => {
  const served = pods.flatMap(({ name, pod }) =>
    serving(pod).map((container) => ({ name: `${name}/${container.name}`, pod, container })),
  );

  it.each(served)('$name: has them', ({ pod, container }) => {
    expect(container.startupProbe).toBeDefined();
    expect(container.livenessProbe).toBeDefined();
    if (pod.containers.includes(container)) expect(container.readinessProbe).toBeDefined();
  });

  it.each(served)('$name: they ask a port that is there', ({ container }) => {
    for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
      if (probe?.httpGet) expect(container.ports?.map(({ name }) => name)).toContain(probe.httpGet.port);
    }
  });

  it.each(served.filter(({ container }) => isTriton(container)))(
    '$name: only whether Triton lives can restart it, and models have time to load',
    ({ container: { startupProbe, livenessProbe } }) => {
      const asked = livenessProbe?.httpGet?.path ?? livenessProbe?.exec?.command.join(' ');
      expect(asked).toContain('/v2/health/live');
      expect(asked).not.toContain('ready');
      const seconds = (startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0);
      expect(seconds).toBeGreaterThanOrEqual(900);
    },
  );

  it.each(served.filter(({ container }) => isWorker(container)))(
    '$name: the worker serves what they ask, and is alive while Triton is not',
    async ({ container: { startupProbe, readinessProbe, livenessProbe } }) => {
      const metrics = { render: () => Promise.resolve({ contentType: 'text/plain', body: '' }) };
      const health = { sick: () => undefined, unready: () => 'waiting for Triton' };
      const server = await startStatusServer(0, health, metrics);
      const ask = async (path: string | undefined) =>
        (await fetch(`http://127.0.0.1:${server.port}${path ?? '/missing'}`)).status;
      try {
        expect(await ask(livenessProbe?.httpGet?.path)).toBe(200);
        expect(await ask(startupProbe?.httpGet?.path)).toBe(200);
        expect(await ask(readinessProbe?.httpGet?.path)).toBe(503);
      } finally {
        await server.close();
      }
    },
  );
});

describe('an end in peace', () => {
  it.each(workers)('$name: Kubernetes waits for longer than the worker drains', (worker) => {
    const { drainSeconds } = configOf(worker);
    const spare = worker.overlay.name === 'overlays/gke-spot' ? 2 : 10;
    expect(worker.pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + spare);
  });

  it('a Spot node gives pods 15 seconds', () => {
    const spot = workers.filter(({ overlay }) => overlay.name === 'overlays/gke-spot');
    expect(spot.map(({ pod }) => pod.terminationGracePeriodSeconds)).toEqual([15]);
  });

  it.each(pods.filter(({ pod }) => pod.containers.some(isTriton)))(
    '$name: is out of DNS before Triton ends, and Triton has time to finish',
    ({ pod }) => {
      const [, wait = '0'] = pod.containers.find(isTriton)?.lifecycle?.preStop?.exec?.command ?? [];
      expect(Number(wait)).toBeGreaterThanOrEqual(10);
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(wait) + 30);
    },
  );
});

describe('settings', () => {
  it.each(workers)('$name: every one is known, and all of them can be used', (worker) => {
    const env = environmentOf(worker.overlay, worker.container);
    const known = settingNames();
    expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
    expect(unknownVariables(env)).toEqual([]);
    expect(() => workerConfig(env)).not.toThrow();
  });

  it.each(workers)('$name: listens where it is asked', (worker) => {
    expect(worker.container.ports).toEqual([{ name: 'http', containerPort: configOf(worker).port }]);
  });

  const tritons = containers.filter(({ container }) => isTriton(container));
  const ofTriton = new Set(
    tritons
      .flatMap(({ container: { env = [] } }) => env.map(({ name }) => name))
      .filter((name) => !name.startsWith('CUDA_')),
  );

  it('of Triton are what its entry point reads', () => {
    const known = ['MODEL_REPOSITORY', 'TRITON_ADMIN_KEY', 'TRITON_GRPC_ADDRESS', 'TRITON_HTTP_ADDRESS'];
    expect([...ofTriton].sort()).toEqual([...known, 'TRITON_RESTRICTED']);
  });

  it('of Triton are in its image', () => {
    const entrypoint = readText('triton/entrypoint.sh');
    for (const name of ofTriton) expect(entrypoint).toContain(`\${${name}:-`);
    const image = readText('triton/Dockerfile');
    for (const { container } of tritons) {
      expect(image).toContain(`ENTRYPOINT ["${container.command?.join() ?? ''}"]`);
      expect(entrypoint).toContain(`  ${container.args?.[0] ?? ''}) `);
      for (const { containerPort } of container.ports ?? [])
        expect(image).toMatch(new RegExp(`EXPOSE.* ${containerPort}`));
    }
    const seconds = tritonFlag('exit-timeout-secs');
    // What is demanded below of the grace period counts on no more.
    expect(Number(seconds)).toBeLessThanOrEqual(30);
  });
});

describe('threads', () => {
  it.each(workers)('$name has as many as the code counts on', (worker) => {
    expect(configOf(worker).poolThreads).toBe(POOL_THREADS);
  });
});

describe('memory', () => {
  /** In whole MiB, in the order of the comment in k8s/worker/deployment.yaml. */
  const partsOf = (worker: (typeof workers)[number]) => {
    const { maxDecodedBytes, maxJobs, maxInputBytes } = configOf(worker);
    const pictures = [maxDecodedBytes, keptForSmall(maxDecodedBytes)];
    const files = [maxJobs * maxInputBytes, maxDecodedBytes / 2];
    return [...pictures, ...files, tensorBytes(models), 150e6, 150 * MIB].map((bytes) => Math.ceil(bytes / MIB));
  };
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

  it.each(workers)('$name: its limit has room for all that it may hold', (worker) => {
    const shared = worker.pod.volumes?.some(({ emptyDir }) => emptyDir?.medium === 'Memory') ? 512 : 0;
    const limit = quantity(worker.container.resources?.limits?.memory ?? 0) / MIB;
    expect(limit).toBeGreaterThanOrEqual(sum(partsOf(worker)) + shared);
  });

  it.each(workers)('$name: the largest permitted picture has room in the budget', (worker) => {
    const { maxDecodedBytes, maxInputPixels, maxOutputPixels } = configOf(worker);
    const image = { output: 'image' } as const;
    const widest = { turned: true, progressive: true, deep: true, hasAlpha: true };
    for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) {
      const input = { ...widest, format, width: maxInputPixels, height: 1 };
      expect(memoryOf(input, [], { format, keepMetadata: true })).toBeLessThanOrEqual(maxDecodedBytes);
      const before = { ...widest, format, width: maxOutputPixels, height: 1 };
      // Any earlier operation may already have made the picture as large as it may become.
      const atEncode = memoryOf(
        { ...before, deep: false, turned: false, progressive: false },
        [{ model: image, contract: { scale: 1 } }],
        { format, keepMetadata: true },
      );
      expect(atEncode).toBeLessThanOrEqual(maxDecodedBytes);
    }
  });

  it('k8s/worker/deployment.yaml shows the sum', () => {
    const shown = [...readText('k8s/worker/deployment.yaml').matchAll(/^ +# +(\d+)\b/gm)].map(([, text]) =>
      Number(text),
    );
    const base = workers.find(({ overlay }) => overlay.name === 'triton and worker');
    const parts = base ? partsOf(base) : [];
    expect(shown).toEqual([...parts, sum(parts)]);
  });
});

describe('replicas', () => {
  const isScaled = ({ overlay, deployment }: (typeof pods)[number]) =>
    [...ofKind(overlay.manifests, 'HorizontalPodAutoscaler'), ...ofKind(overlay.manifests, 'ScaledObject')].some(
      ({ spec }) => spec.scaleTargetRef.name === deployment.metadata.name,
    );
  const hasVolume = ({ pod }: (typeof pods)[number]) =>
    pod.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim) ?? false;

  it.each(pods.filter(isScaled))('$name: are its autoscaler’s', ({ deployment }) =>
    expect(deployment.spec).not.toHaveProperty('replicas'),
  );

  it.each(pods.filter(hasVolume))('$name: one, since one node has its volume', (pod) => {
    expect(isScaled(pod)).toBe(false);
    expect(pod.deployment.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
  });
});
