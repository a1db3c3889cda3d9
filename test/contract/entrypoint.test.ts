/** triton/entrypoint.sh around a real tritonserver: what the image `triton-imagen` starts. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { triton as part } from '../../scripts/dev/parts/triton.js';
import { cacheDir, localDir, root, testModels } from '../../scripts/dev/stack/paths.js';
import { freePorts, type Ports } from '../../scripts/dev/stack/ports.js';
import { inspect } from '../../scripts/dev/stack/processes.js';
import { until } from '../../scripts/dev/until.js';
import { connect, connectionServices } from '../../src/app/connections.js';
import { readConfig, WORKER_SETTINGS } from '../../src/config/index.js';
import { createLogger } from '../../src/telemetry/logger.js';
import { Channel } from '../../src/adapters/triton/channel.js';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import type { InferenceRequest } from '../../src/domain/ports.js';
import { createTensor } from '../../src/domain/tensor.js';

const patient = new AbortController().signal;
const control = { signal: patient, deadlineMs: 10_000 };
const key = 'open-sesame';
const overHttp = { 'imagen-admin': key };
const overGrpc = { 'triton-grpc-protocol-imagen-admin': key };
const image = createTensor('image', 'UINT8', [8, 8, 3], Buffer.alloc(192, 5));
const echo: InferenceRequest = {
  ...{ model: 'echo', version: '1', inputs: [image], output: 'image', priority: 'batch', parameters: {} },
};

const dir = join(localDir, `test-entrypoint-${process.pid}`);
const models = join(dir, 'opt/model_repository');
const stale = (host: string) => `/dev/shm/triton_${host}_of-one-that-was-killed`;
const sharedMemoryOf = ({ host }: Server) =>
  readdirSync('/dev/shm').filter((name) => name.startsWith(`triton_${host}_`));

/** Files as in the image, with the local tritonserver and its libraries in the place of NVIDIA's. */
async function layOut() {
  await mkdir(join(dir, 'triton/models'), { recursive: true });
  const spec = await part.start({
    ...{ dir, ports: inject('stack').ports, cache: cacheDir, models: undefined, modelRepositories: [] },
    tritonArgs: [],
    step: () => undefined,
    run: () => Promise.reject(new Error('nothing is to be installed')),
  });
  for (const model of ['echo', 'broken', 'mortal']) {
    await cp(join(testModels.folder, model), join(models, model), { recursive: true });
  }
  await mkdir(join(models, 'lost+found')); // what no model repository of ours has, and the root of a volume does
  for (const file of ['entrypoint.sh', 'watchdog.py']) {
    await copyFile(join(root, 'triton', file), join(dir, 'opt', file));
    await chmod(join(dir, 'opt', file), 0o755);
  }
  // What the entry point makes of an environment that says no more than a container's.
  const own = Object.entries(spec.env ?? {}).filter(([name]) => !/^(?:TRITON_(?!BACKENDS)|MODEL_)/.test(name));
  return { ...process.env, ...Object.fromEntries(own), ...inject('stack').marker };
}

class Server {
  readonly url: string;
  readonly http: string;
  readonly metrics: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  #log = '';

  /** @param host names its shared memory, as a container's name does */
  constructor(
    readonly host: string,
    ports: Ports,
    place: Readonly<Record<string, string | undefined>>,
    env: Readonly<Record<string, string>>,
    args: readonly string[] = [],
  ) {
    this.url = `127.0.0.1:${ports.tritonGrpc}`;
    this.http = `http://127.0.0.1:${ports.tritonHttp}`;
    this.metrics = `http://127.0.0.1:${ports.tritonMetrics}/metrics`;
    this.#child = spawn(join(dir, 'opt/entrypoint.sh'), ['serve', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...place,
        TRITON_HTTP_PORT: String(ports.tritonHttp),
        TRITON_GRPC_PORT: String(ports.tritonGrpc),
        TRITON_METRICS_PORT: String(ports.tritonMetrics),
        ...env,
        HOSTNAME: host,
      },
    });
    this.#exit = once(this.#child, 'exit');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
    }
  }

  async ready(): Promise<void> {
    const hasEnded = () => this.#child.exitCode !== null;
    const isReady = async () => (await statusOf(`${this.http}/v2/health/ready`).catch(() => undefined)) === 200;
    await until(async () => hasEnded() || (await isReady()), { limitMs: 20_000 }).catch(() => undefined);
    if (hasEnded() || !(await isReady())) throw new Error(`the server did not start\n${this.#log}`);
  }

  get log(): string {
    return this.#log;
  }

  /** Its processes but itself, by the names of their programs. */
  async children(): Promise<{ pid: number; command: string }[]> {
    const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    return all.flatMap((pid) => {
      const found = inspect(pid);
      return found && found.parent === this.#child.pid ? [{ pid, command: found.command }] : [];
    });
  }

  /** @returns its exit code */
  async stop(): Promise<unknown> {
    this.#child.kill('SIGTERM');
    return (await this.#exit)[0];
  }
}

/** On a connection of its own, as a kubelet asks: one that is used again may wait for a thread that loads a model. */
const statusOf = (url: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, { agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject);
  });

const post = async (server: Server, path: string, headers = {}) =>
  (await fetch(`${server.http}/v2/${path}`, { method: 'POST', headers })).status;

const ending = (call: Promise<unknown>, of: 'code' | 'details'): Promise<string> =>
  call.then(
    () => 'ok',
    (error: unknown) => String((error as Record<typeof of, unknown>)[of] ?? error),
  );

/** As in a pod of its own, but for the age of connections: many end while the tests run. */
let server: Server;
/** As beside one worker, in its pod. */
let sidecar: Server;

beforeAll(async () => {
  const place = await layOut();
  const names = [`entrypoint-${process.pid}`, `sidecar-${process.pid}`] as const;
  await writeFile(stale(names[0]), 'x');
  server = new Server(names[0], await freePorts(), place, { TRITON_ADMIN_KEY: key }, ['--grpc-max-connection-age=400']);
  sidecar = new Server(names[1], await freePorts(), place, {
    ...{ TRITON_RESTRICTED: 'model-repository', TRITON_HTTP_ADDRESS: '127.0.0.1', TRITON_GRPC_ADDRESS: '127.0.0.1' },
    TRITON_ADMIN_KEY: '',
  });
  await Promise.all([server.ready(), sidecar.ready()]);
});

afterAll(async () => {
  await Promise.all([server.stop(), sidecar.stop()]);
  await rm(dir, { recursive: true, force: true });
});

it('takes away the shared memory of a server that was killed', () => {
  expect(existsSync(stale(server.host))).toBe(false);
  expect(sharedMemoryOf(server).length).toBeGreaterThan(0); // so these are the names that it uses
});

it('tells the worker what it serves, though the repository is restricted and a model broken', async () => {
  const worker = connectTriton({ url: server.url });
  await worker.refresh(patient);
  expect([...worker.contracts().keys()].sort()).toEqual(['echo', 'mortal']);
  expect([...(worker.contracts().get('echo')?.versions.keys() ?? [])]).toEqual(['1', '2']);
  // Shared memory is restricted, too: the same host's worker finds another way.
  expect((await worker.infer(echo, patient)).output).toEqual(image);
  expect(await worker.statistics('echo', patient)).not.toEqual([]);
  await worker.close();
});

it('makes a worker on its host say once why tensors go in messages', async () => {
  const lines: string[] = [];
  const env = { ...inject('stack').env, TRITON_URL: server.url, IMAGEN_TRITON_TRANSPORT: 'auto' };
  const log = createLogger('warn', {}, { to: { write: (line) => void lines.push(line) } });
  const connections = connect(readConfig(env, WORKER_SETTINGS), log, undefined);
  const { models } = connections;
  await models.refresh(patient);
  for (let i = 0; i < 3; i++) await models.infer(echo, patient);
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({
      message: 'tensors go to Triton in messages, not through shared memory',
      reason: expect.stringMatching(/TRITON_RESTRICTED.*This protocol is restricted/) as string,
    }),
  ]);
  for (const { stop } of connectionServices(connections)) await stop?.();
});

it.each([
  ['RepositoryIndex', { ready: false }],
  ['RepositoryModelLoad', { modelName: 'echo' }],
  ['SystemSharedMemoryRegister', { name: 'x', key: '/nothing', offset: 0, byteSize: 1 }],
] as const)('opens %s to the key alone, over gRPC', async (name, request) => {
  const asked = async (headers: Readonly<Record<string, string>>) => {
    const channel = new Channel(server.url, headers);
    // Each name with the message that it takes, which the compiler cannot see.
    const call = channel.call(name as 'RepositoryIndex', request as { ready: boolean }, control);
    return ending(call, 'details').finally(() => channel.close());
  };
  expect(await asked({})).toContain('This protocol is restricted');
  expect(await asked({ 'triton-grpc-protocol-imagen-admin': 'another' })).toContain('This protocol is restricted');
  expect(await asked(overGrpc)).not.toContain('restricted');
});

it.each([
  'repository/index',
  'repository/models/echo/load',
  'systemsharedmemory/region/x/unregister',
  'trace/setting',
  'logging',
])('opens /v2/%s to the key alone, over HTTP', async (path) => {
  expect(await post(server, path)).toBe(403);
  expect(await post(server, path, { 'imagen-admin': 'another' })).toBe(403);
  expect(await post(server, path, overHttp)).not.toBe(403);
});

/** How long a probe waits for its answer, and the pause after two of them, in milliseconds. */
const [PROBE_LIMIT_MS, PROBE_EVERY_MS] = [100, 25];

it('stays ready while a model is loaded, and while another cannot be', async () => {
  await mkdir(join(models, 'late/1'), { recursive: true });
  const config = 'name: "late" backend: "python" instance_group [ { kind: KIND_CPU } ]';
  const code = 'import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(1)\n';
  await writeFile(join(models, 'late/config.pbtxt'), config);
  await writeFile(join(models, 'late/1/model.py'), code);
  let loaded: number | undefined;
  const loading = post(server, 'repository/models/late/load', overHttp).then((status) => (loaded = status));
  // A load keeps one of Triton's HTTP threads: a connection that lands on it waits, and a probe has a limit.
  const seen: string[] = [];
  while (loaded === undefined) {
    for (const probe of ['ready', 'live']) {
      const answer = statusOf(`${server.http}/v2/health/${probe}`);
      seen.push(String(await Promise.race([answer, sleep(PROBE_LIMIT_MS, 'late')])));
    }
    await sleep(PROBE_EVERY_MS);
  }
  await loading;
  expect({ loaded, seen: [...new Set(seen)].sort().filter((answer) => answer !== 'late') }).toEqual({
    loaded: 200,
    seen: ['200'],
  });
  expect(seen.filter((answer) => answer === '200').length).toBeGreaterThan(seen.length / 2);
  expect(await post(server, 'repository/models/broken/load', overHttp)).toBe(400);
  expect(await statusOf(`${server.http}/v2/health/ready`)).toBe(200);
});

it('ends connections of age, so that a worker looks for new servers', async () => {
  const proxy = await FaultProxy.before(server.url);
  const worker = connectTriton({ url: proxy.address, transport: 'unary' });
  await worker.refresh(patient);
  const outcomes: Record<string, number> = {};
  const until = Date.now() + 2_000;
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      while (Date.now() < until) {
        const outcome = await ending(worker.infer(echo, patient), 'code');
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    }),
  );
  await worker.close();
  proxy.close();
  const { accepted } = proxy.counts;
  expect(accepted).toBeGreaterThan(3);
  // A request may meet the end of its connection. The server has not looked at it, and the pipeline sends it again.
  const { MODEL_UNAVAILABLE: refused = 0, ok = 0, ...others } = outcomes;
  expect(others).toEqual({});
  expect(refused).toBeLessThanOrEqual(4 * accepted);
  expect(ok).toBeGreaterThan(100);
});

it('serves metrics', async () => {
  expect(await (await fetch(server.metrics)).text()).toContain('nv_inference_count{model="echo"');
});

it('takes tensors through shared memory, where that is not restricted', async () => {
  const worker = connectTriton({ url: sidecar.url, transport: 'shm' });
  await worker.refresh(patient);
  expect((await worker.infer(echo, patient)).output).toEqual(image);
  const channel = new Channel(sidecar.url);
  const regions = async () =>
    Object.keys((await channel.call('SystemSharedMemoryStatus', { name: '' }, control)).regions);
  expect(await regions()).toHaveLength(1);
  await worker.close();
  expect(await regions()).toEqual([]);
  channel.close();
});

it('tells a worker that insists on shared memory what is wrong, and puts its jobs off', async () => {
  const told: unknown[] = [];
  const worker = connectTriton({ url: server.url, transport: 'shm', onRead: (error) => told.push(error) });
  await worker.refresh(patient);
  expect(String(told.at(-1))).toMatch(
    /IMAGEN_TRITON_TRANSPORT=shm: .*expected one \/dev\/shm.*TRITON_RESTRICTED.*restricted/s,
  );
  await expect(worker.infer(echo, patient)).rejects.toMatchObject({
    ...{ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'echo' } },
  });
  await worker.close();
});

it('has no key that anybody knows, unless it is given one', async () => {
  for (const guess of ['', key]) {
    expect(await post(sidecar, 'repository/index', { 'imagen-admin': guess })).toBe(403);
  }
});

describe('the watchdog', () => {
  const mortal: InferenceRequest = { ...echo, model: 'mortal' };
  const stubs = async () => (await server.children()).filter(({ command }) => command.includes('/mortal/'));
  const deaths = () => server.log.split('model mortal: process').length - 1;
  const reloads = () => server.log.split('model mortal: loaded again').length - 1;
  let worker: Triton;
  beforeAll(async () => {
    worker = connectTriton({ url: server.url, pollMs: 200 });
    worker.start();
    await worker.refresh(patient);
  });
  afterAll(() => worker.close());
  const answer = () => ending(worker.infer(mortal, patient), 'code');

  it('gives a model a new process when its own was killed, and says so', async () => {
    expect(await answer()).toBe('ok');
    for (const { pid } of await stubs()) process.kill(pid, 'SIGKILL');
    await expect.poll(reloads, { timeout: 20_000 }).toBe(1);
    expect(await stubs()).toHaveLength(1);
    expect(server.log).toMatch(/watchdog: model mortal: process \d+ \(mortal_0_0\) has died; reloading in 0 s/);
    await expect.poll(answer, { timeout: 10_000 }).toBe('ok');
  });

  it('waits longer before each next time, and leaves other models and what is unloaded alone', async () => {
    const others = (await server.children()).filter(({ command }) => command.includes('/echo/'));
    for (const { pid } of await stubs()) process.kill(pid, 'SIGKILL');
    await expect.poll(reloads, { timeout: 20_000 }).toBe(2);
    expect(server.log).toMatch(/has died; reloading in 1 s/);
    expect((await server.children()).filter(({ command }) => command.includes('/echo/'))).toEqual(others);
    expect(await post(server, 'repository/models/mortal/unload', overHttp)).toBe(200);
    await expect.poll(stubs, { timeout: 10_000 }).toEqual([]);
    const after = deaths();
    // Two more of its rounds, seen in that it notices another model's death.
    for (const { pid } of others) process.kill(pid, 'SIGKILL');
    await expect.poll(() => server.log, { timeout: 20_000 }).toContain('model echo: loaded again');
    expect(deaths()).toBe(after);
  });
});

it('ends with the server', async () => {
  const watchdogs = (await server.children()).filter(({ command }) => command.includes('watchdog.py'));
  expect(watchdogs).toHaveLength(1);
  await server.stop();
  await expect.poll(() => watchdogs.filter(({ pid }) => inspect(pid)), { timeout: 10_000 }).toEqual([]);
});

it('is the process that signals reach, and leaves nothing behind', async () => {
  expect(await Promise.all([server.stop(), sidecar.stop()])).toEqual([0, 0]);
  expect([...sharedMemoryOf(server), ...sharedMemoryOf(sidecar)]).toEqual([]);
});
