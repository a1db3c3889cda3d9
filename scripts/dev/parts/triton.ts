import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LOCAL_ADMIN_KEY } from '../stack/env.js';
import { root } from '../stack/paths.js';
import type { Ports } from '../stack/ports.js';
import { findMarked, type ProcessId, stopAll } from '../stack/processes.js';
import type { Context, ModelRepository, Part } from './part.js';
import { answers } from './probe.js';
import { installVenv, missingPython, requirePython, type Python } from './python.js';

/** Brings tritonserver 2.51 with its Python backend. Its own dependencies serve a Python API that we do not use. */
const wheel = 'nvidia-pytriton==0.7.0';
const requirements = join(root, 'triton/requirements.txt');

export const triton: Part = {
  ...{ id: 'triton', title: 'NVIDIA Triton', readyTimeoutMs: 300_000 },
  ports: ['tritonHttp', 'tritonGrpc', 'tritonMetrics'],
  prerequisites: missingPython,

  async install(context) {
    await installVenv(context, venv(context), {
      key: `${wheel}\n${readFileSync(requirements, 'utf8')}`,
      essential: (python) => Object.values(files(python)),
      pip: {
        "what the models' code needs": ['--requirement', requirements],
        [wheel]: ['--no-deps', wheel],
      },
    });
    await makeModels(context);
  },

  /** As in production: by the image's entry point, with what differs in its environment. */
  async start(context) {
    const { dir, ports } = context;
    const python = await requirePython();
    const site = files(python);
    const repositories = [{ folder: models(dir) }, ...(context.modelRepositories ?? [])];
    const server = join(venv(context), site.server);
    return {
      command: 'sh',
      args: [join(root, 'triton/entrypoint.sh'), 'serve', ...(context.tritonArgs ?? [])],
      env: {
        // The server's own libraries, then the libpython that the backend's stub links to.
        LD_LIBRARY_PATH: `${join(venv(context), site.libraries)}:${python.libraryFolder}`,
        // The stub finds its packages through the `python3` on the PATH.
        PATH: `${join(venv(context), 'bin')}:${dirname(server)}:${process.env.PATH ?? ''}`,
        VIRTUAL_ENV: venv(context),
        PYTHONDONTWRITEBYTECODE: '1',
        ...context.tritonEnv,
        ...entrypointEnv(context, repositories, await namesToLoad(repositories)),
        TRITON_BACKENDS: await makeBackends(context, site),
      },
      ready: () => answers(`http://127.0.0.1:${ports.tritonHttp}/v2/health/ready`),
    };
  },

  /** Triton removes its shared memory when it ends in peace; this is for when it was killed. */
  async clean(dir) {
    const left = (await readdir('/dev/shm')).filter((name) => name.startsWith(sharedMemoryPrefix(dir)));
    await Promise.all(left.map((name) => rm(join('/dev/shm', name), { force: true })));
  },
};

const venv = ({ cache }: Context): string => join(cache, 'triton');
const models = (dir: string): string => join(dir, 'triton/models');

function entrypointEnv({ dir, ports }: Context, repositories: readonly ModelRepository[], names: readonly string[]) {
  const here = '127.0.0.1';
  return {
    // Of this is made the name of its shared memory.
    HOSTNAME: hostName(dir),
    MODEL_REPOSITORY: repositories.map(({ folder }) => folder).join(':'),
    TRITON_MODELS: names.join(','),
    ...{ TRITON_HTTP_ADDRESS: here, TRITON_GRPC_ADDRESS: here, TRITON_METRICS_ADDRESS: here },
    TRITON_HTTP_PORT: String(ports.tritonHttp),
    TRITON_GRPC_PORT: String(ports.tritonGrpc),
    TRITON_METRICS_PORT: String(ports.tritonMetrics),
    // As beside a worker that shares memory.
    TRITON_RESTRICTED: 'model-repository',
    TRITON_ADMIN_KEY: LOCAL_ADMIN_KEY,
  };
}

function files({ version }: Python) {
  const site = `lib/python${version}/site-packages`;
  const server = `${site}/pytriton/tritonserver`;
  return {
    server: `${server}/bin/tritonserver`,
    backend: `${server}/backends/python/libtriton_python.so`,
    utilities: `${server}/backends/python/triton_python_backend_utils.py`,
    stub: `${server}/python_backend_stubs/${version}/triton_python_backend_stub`,
    libraries: `${site}/nvidia_pytriton.libs`,
  };
}

const MODEL_PROCESS = 'triton_python_backend_stub';

const allModelProcesses = (dir: string) =>
  findMarked((of) => of.dir === dir).filter(({ command }) => command.includes(MODEL_PROCESS));

/** After a kill: the processes of its models may outlive a server, and hold its sockets and the file of their program. */
export async function endModelProcesses(dir: string): Promise<void> {
  await stopAll(() => allModelProcesses(dir), 1_000);
}

/** A process that starts another one is listed twice for a moment, so one of these may have ended before it gets a signal. */
export const modelProcesses = (dir: string, model: string): ProcessId[] =>
  allModelProcesses(dir).filter(({ command }) => command.includes(`/${model}/`));

export async function controlModel({ tritonHttp }: Ports, model: string, verb: 'load' | 'unload'): Promise<void> {
  const url = `http://127.0.0.1:${tritonHttp}/v2/repository/models/${model}/${verb}`;
  const signal = AbortSignal.timeout(60_000);
  const answer = await fetch(url, { method: 'POST', headers: { 'imagen-admin': LOCAL_ADMIN_KEY }, signal });
  if (!answer.ok) throw new Error(`${verb} ${model}: ${answer.status} ${await answer.text()}`);
}

/** Lists the models of a folder that Triton could not load: one line for each, with the reason. */
export async function notLoaded({ tritonHttp }: Ports, folder: string): Promise<string[]> {
  const url = `http://127.0.0.1:${tritonHttp}/v2/repository/index`;
  const signal = AbortSignal.timeout(10_000);
  const answer = await fetch(url, { method: 'POST', headers: { 'imagen-admin': LOCAL_ADMIN_KEY }, signal });
  if (!answer.ok) throw new Error(`the index of the models: ${answer.status} ${await answer.text()}`);
  const index = (await answer.json()) as { name: string; state?: string; reason?: string }[];
  return index
    .filter(({ name, state }) => state === 'UNAVAILABLE' && existsSync(join(folder, name)))
    .map(({ name, reason = '' }) => `${join(folder, name)} is not served: ${reason}`);
}

/** Tells this instance's regions under /dev/shm from those of any other Triton. */
export const sharedMemoryPrefix = (dir: string): string => `triton_${hostName(dir)}_`;

const hostName = (dir: string): string => `imagen-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`;

/** Exports what is not exported yet into the cache, then gives the instance a repository of its own to change at will. */
async function makeModels(context: Context): Promise<void> {
  const exported = join(context.cache, 'model_repository');
  context.step('exporting the models');
  await context.run(join(venv(context), 'bin/python'), [
    join(root, 'triton/scripts/export_models.py'),
    ...['--cache', context.cache, '--output', exported],
    ...(context.models ? ['--models', context.models.join(',')] : []),
  ]);
  await rm(models(context.dir), { recursive: true, force: true });
  for (const entry of await readdir(exported, { withFileTypes: true })) {
    const wanted = context.models?.includes(entry.name) ?? true;
    if (entry.isDirectory() && wanted)
      await linkTree(join(exported, entry.name), join(models(context.dir), entry.name));
  }
}

/** A copy to change. Weights, which nobody edits in place, are hard links where the file system allows. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.name.endsWith('.onnx')) await link(source, target).catch(() => copyFile(source, target));
    else await copyFile(source, target);
  }
}

/**
 * Names the models one by one, since `*` takes no exceptions, and a model that cannot be loaded ends the server at its start.
 * @throws Error that names a model which two repositories have: Triton would serve neither
 */
async function namesToLoad(repositories: readonly ModelRepository[]): Promise<string[]> {
  const names: string[] = [];
  for (const { folder, leaveOut = [] } of repositories) {
    const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const twice = entries.find(({ name }) => names.includes(name));
    if (twice) {
      const where = join(folder, twice.name);
      throw new Error(`${where}: there is another model ${twice.name}, and Triton serves neither of two. Rename it`);
    }
    names.push(...entries.map(({ name }) => name).filter((name) => !leaveOut.includes(name)));
  }
  return names;
}

/** The wheel keeps one stub for each version of Python; the backend looks for the one beside itself. */
async function makeBackends(context: Context, site: ReturnType<typeof files>): Promise<string> {
  const backends = join(context.dir, 'triton/backends');
  const folder = join(backends, 'python');
  await mkdir(folder, { recursive: true });
  for (const file of [site.backend, site.utilities, site.stub]) {
    const copy = join(folder, basename(file));
    // A stub may outlive a server that was killed, and a program that runs cannot be written to.
    await rm(copy, { force: true });
    await copyFile(join(venv(context), file), copy);
  }
  return backends;
}
