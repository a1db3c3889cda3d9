/** A real kube-apiserver with etcd, for as long as a test takes, and Kubernetes' own controllers on request. No nodes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answers } from '../parts/probe.js';
import { run } from '../run.js';
import { inspect } from '../stack/processes.js';
import { freePort } from '../stack/ports.js';
import { cacheDir, localDir, root, which } from '../stack/paths.js';
import { tail } from '../stack/supervisor.js';
import { until } from '../until.js';

export const VERSION = '1.32.3';
const binaries = join(cacheDir, 'kubernetes', VERSION);
const READY_MS = 90_000;

export interface ApiServer {
  readonly kubeconfig: string;
  readonly url: string;
  /** A bearer token that may do everything. */
  readonly token: string;
  /**
   * Starts Kubernetes' own controllers of Deployments, ReplicaSets and HorizontalPodAutoscalers.
   * @param flags of controllers/main.go
   */
  startControllers(flags: readonly string[]): Promise<void>;
  /** Forgets the namespace and all that is in it. Deleting them would take controllers that are not there. */
  forget(namespace: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws Error that says what to install */
export async function installApiServer(say: (text: string) => void): Promise<void> {
  if (!which('etcd')) throw new Error('etcd is missing: apt-get install etcd-server');
  const controllers = controllersName();
  if (['kube-apiserver', controllers].every((name) => existsSync(join(binaries, name)))) return;
  say(`building kube-apiserver ${VERSION} and its controllers: once, about 5 minutes`);
  await mkdir(binaries, { recursive: true });
  const script = join(root, 'scripts/dev/k8s/build.sh');
  await run('setpriv', ['--pdeathsig', 'TERM', 'bash', script, VERSION, binaries, controllers]);
}

/** The program's name changes with its source, so that an old one is not taken for it. */
function controllersName(): string {
  const source = readFileSync(join(root, 'scripts/dev/k8s/controllers/main.go'));
  return `controllers-${createHash('sha256').update(source).digest('hex').slice(0, 12)}`;
}

/** @param logs a folder that keeps what they say; by default it goes with all else */
export async function startApiServer(logs?: string): Promise<ApiServer> {
  await forgetTheDead();
  const dir = join(localDir, `k8s-${process.pid}`);
  await mkdir(dir, { recursive: true });
  const children: ChildProcess[] = [];
  const close = async () => {
    for (const child of children.reverse()) await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  /** The process ends with us, however we end: the kernel sees to it. */
  const start = async (name: string, program: string, args: readonly string[], ready: () => Promise<boolean>) => {
    const log = join(logs ?? dir, `${name}.log`);
    const fd = openSync(log, 'w');
    const pinned = ['--pdeathsig', 'KILL', program, ...args];
    const child = spawn('setpriv', pinned, { stdio: ['ignore', fd, fd], cwd: dir });
    children.push(child);
    const isUp = () => hasEnded(child) || ready();
    await until(isUp, { everyMs: 250, limitMs: READY_MS, what: `${name} is ready\n${tail(log)}` });
    if (hasEnded(child)) throw new Error(`${name} has ended:\n${tail(log)}`);
  };
  try {
    const etcd = `http://127.0.0.1:${await freePort()}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const keeps = [
      ...[`--data-dir=${join(dir, 'data')}`, `--listen-client-urls=${etcd}`, `--advertise-client-urls=${etcd}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=default=${peer}`],
    ];
    await start('etcd', 'etcd', keeps, () => answers(`${etcd}/health`));

    const port = await freePort();
    const token = randomBytes(16).toString('hex');
    await writeFile(join(dir, 'tokens.csv'), `${token},tester,tester,system:masters\n`);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(join(dir, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const kubeconfig = join(dir, 'kubeconfig');
    await writeFile(kubeconfig, JSON.stringify(kubeconfigFor(port, token)), { mode: 0o600 });
    // Admission as by default: Pod Security judges pods, and ServiceAccount demands that theirs exist.
    const judges = [
      ...[`--etcd-servers=${etcd}`, '--bind-address=127.0.0.1', `--secure-port=${port}`, `--cert-dir=${dir}`],
      ...[`--token-auth-file=${join(dir, 'tokens.csv')}`, '--authorization-mode=AlwaysAllow'],
      ...['--service-account-issuer=https://imagen.test', `--service-account-key-file=${join(dir, 'key.pem')}`],
      ...[`--service-account-signing-key-file=${join(dir, 'key.pem')}`, '--service-cluster-ip-range=10.96.0.0/16'],
    ];
    const readyz = ['--kubeconfig', kubeconfig, 'get', '--raw', '/readyz'];
    const isReady = () =>
      run('kubectl', readyz).then(
        ({ stdout }) => stdout === 'ok',
        () => false,
      );
    await start('kube-apiserver', join(binaries, 'kube-apiserver'), judges, isReady);
    return {
      ...{ kubeconfig, url: `https://127.0.0.1:${port}`, token, close },
      forget: (namespace) => forget(etcd, namespace),
      startControllers: (flags) =>
        start('controllers', join(binaries, controllersName()), ['--kubeconfig', kubeconfig, ...flags], isStarted),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function forgetTheDead(): Promise<void> {
  for (const name of await readdir(localDir)) {
    const [, pid] = /^k8s-(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !inspect(Number(pid))) await rm(join(localDir, name), { recursive: true, force: true });
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(killing);
}

/** The controllers have no probe: they work as soon as they have read the objects. */
const isStarted = () => Promise.resolve(true);

const kubeconfigFor = (port: number, token: string) => ({
  ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
  clusters: [{ name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'test', user: { token } }],
  contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
});

/** By etcd's own API; the server hears of it as of any other deletion. */
async function forget(etcd: string, namespace: string): Promise<void> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const post = async (path: string, body: unknown) =>
    (await (await fetch(`${etcd}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) })).json()) as {
      readonly kvs?: readonly { readonly key: string }[];
    };
  const all = await post('range', { key: base64('/registry/'), range_end: base64('/registry0'), keys_only: true });
  const keys = (all.kvs ?? []).map(({ key }) => Buffer.from(key, 'base64').toString());
  // The namespace last: without it nothing can be created in it meanwhile.
  const inside = keys.filter((key) => key.includes(`/${namespace}/`));
  for (const key of [...inside, `/registry/namespaces/${namespace}`]) await post('deleterange', { key: base64(key) });
}
