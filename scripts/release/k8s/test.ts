/** `npm run test:k8s`: a real API server accepts the manifests, and refuses wrong ones. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type ApiServer, installApiServer, startApiServer, VERSION } from '../../dev/k8s/api-server.js';
import { crdsDir } from './custom-resources.js';
import { applicable, build, k8sDir, kubectl, type Labels, type Manifest } from '../../dev/k8s/kustomize.js';
import { run } from '../../dev/run.js';
import { Suite } from '../suite.js';

interface Deployment extends Manifest {
  readonly spec: { readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: object } };
}

const deployments = (manifests: readonly Manifest[]) =>
  manifests.filter((manifest): manifest is Deployment => manifest.kind === 'Deployment');

const suite = new Suite();

const test = (name: string, body: () => Promise<void>) => suite.check(name, body);

await suite.run(async () => {
  await installApiServer((text) => suite.say(text));
  const server = await startApiServer();
  try {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => void server.close().finally(() => process.exit(1)));
    }
    suite.say(`kube-apiserver ${VERSION} is ready`);
    await testAll(server);
  } finally {
    await server.close();
  }
});

async function testAll(server: ApiServer): Promise<void> {
  const program = await kubectl();
  const call = (args: readonly string[], input?: Manifest) =>
    run(program, ['--kubeconfig', server.kubeconfig, ...args], input && { input: stringify(input) });
  /** @throws Error with what the server says against it; a warning is an error here */
  const accepted = async (args: readonly string[], input?: Manifest) => {
    const { stdout, stderr } = await call(args, input);
    if (stderr !== '') throw new Error(stderr);
    return stdout;
  };
  /** @throws Error when it is accepted, or refused for another reason */
  const refused = async (reason: RegExp, args: readonly string[], input?: Manifest) => {
    const said = await accepted(args, input).then(
      (stdout) => `accepted: ${stdout}`,
      (error: unknown) => (error as Error).message,
    );
    if (!reason.test(said)) throw new Error(`expected ${String(reason)}, given: ${said}`);
  };
  const strictly = ['--validate=strict', '--server-side'];
  const apply = (folder: string, ...how: readonly string[]) =>
    accepted(['apply', ...how, '--kustomize', join(k8sDir, folder)]);
  /** @throws Error with the difference between what is there and what would be applied again */
  const nothingLeftToDo = (folder: string, ...how: readonly string[]) =>
    call(['diff', ...how, '--kustomize', join(k8sDir, folder)]);
  const asPod = ({ spec: { template } }: Deployment): Manifest => ({
    ...{ apiVersion: 'v1', kind: 'Pod', spec: template.spec },
    metadata: { name: 'judged', namespace: 'imagen', labels: template.metadata.labels },
  });
  /** Deployments are taken unseen: only a pod is judged by Pod Security, and wholly validated. */
  const podsAreAccepted = async (manifests: readonly Manifest[]) => {
    for (const deployment of deployments(manifests)) {
      await accepted(['create', '--dry-run=server', '--validate=strict', '--filename=-'], asPod(deployment));
    }
  };

  await test('the definitions of custom resources', async () => {
    await accepted(['apply', ...strictly, '--filename', crdsDir]);
    await accepted(['wait', '--for=condition=Established', '--timeout=30s', 'customresourcedefinitions', '--all']);
  });

  await test('kubectl apply -k k8s/triton/, then -k k8s/worker/', async () => {
    await apply('triton', '--validate=strict');
    await apply('worker', '--validate=strict');
    await nothingLeftToDo('triton');
    await nothingLeftToDo('worker');
    await podsAreAccepted([...(await build('triton')), ...(await build('worker'))]);
  });

  const overlays = applicable().filter((folder) => folder.startsWith('overlays/'));
  for (const folder of overlays) {
    await test(`${folder}, from nothing`, async () => {
      await server.forget('imagen');
      await apply(folder, ...strictly);
      await nothingLeftToDo(folder, '--server-side');
      await podsAreAccepted(await build(folder));
    });
  }
  for (const folder of overlays.filter((folder) => folder !== 'overlays/gke')) {
    await test(`${folder}, over overlays/gke`, async () => {
      await server.forget('imagen');
      await apply('overlays/gke', ...strictly);
      await apply(folder, ...strictly);
      await nothingLeftToDo(folder, '--server-side');
    });
  }

  // What is wrong on purpose, so that a server that takes anything would be found out.
  const gke = await build('overlays/gke');
  const worker = deployments(gke).find(({ metadata }) => metadata.name === 'imagen-worker');
  if (!worker) throw new Error('expected a Deployment imagen-worker');
  const create = ['create', '--dry-run=server', '--validate=strict', '--filename=-'];
  const changed = <T extends Manifest>(manifest: T, change: (text: string) => string): T => {
    const text = JSON.stringify(manifest);
    const after = change(text);
    if (after === text) throw new Error(`nothing to change in ${manifest.kind} ${manifest.metadata.name}`);
    return JSON.parse(after) as T;
  };
  const strictlyApplied = ['apply', ...strictly, '--filename=-'];
  await test('refused: a misspelt field of a Deployment', () =>
    refused(
      /readinesProbe: field not declared in schema/,
      strictlyApplied,
      changed(worker, (text) => text.replace('"readinessProbe"', '"readinesProbe"')),
    ));
  /** @param to what makes the pod bad, in the place of `from` */
  const badPod = (what: string, reason: RegExp, from: string, to: string) => {
    const pod = changed(asPod(worker), (text) => text.replace(from, to));
    return test(`refused: ${what}`, () => refused(reason, create, pod));
  };
  const noPort = /Probe\.httpGet\.port: Invalid value: "HTTP PORT"/;
  await badPod('a probe of a port that no container has', noPort, '"port":"http"', '"port":"HTTP PORT"');
  await badPod('a pod as root', /violates PodSecurity "restricted/, '"runAsNonRoot":true,', '');
  const gainsMore = /violates PodSecurity.*allowPrivilegeEscalation/s;
  await badPod('a pod with rights to gain more', gainsMore, '"allowPrivilegeEscalation":false,', '');
  const [ours, other] = ['"serviceAccountName":"imagen-worker"', '"serviceAccountName":"x"'];
  await badPod('a pod of an account that is not there', /serviceaccount "x" not found/, ours, other);
  const noVolume = /volumeMounts\[0\]\.name: Not found/;
  await badPod('a volume that is mounted and not there', noVolume, '"name":"routes"', '"name":"maps"');
  await test('refused: a misspelt field of a ScaledObject', async () => {
    const scaled = (await build('overlays/gke-keda')).find(({ kind }) => kind === 'ScaledObject');
    if (!scaled) throw new Error('expected a ScaledObject');
    await refused(
      /spec\.minReplicas: field not declared in schema/,
      strictlyApplied,
      changed(scaled, (text) => text.replace('"minReplicaCount"', '"minReplicas"')),
    );
  });
  await test('refused: a Deployment with another selector than the one that is there', async () => {
    await server.forget('imagen');
    await apply('overlays/gke', ...strictly);
    await refused(
      /field is immutable/,
      strictlyApplied,
      changed(worker, (text) =>
        text.replaceAll('"app.kubernetes.io/instance":"imagen-worker"', '"app.kubernetes.io/instance":"other"'),
      ),
    );
  });
}
