/** Dockerfiles, entry point and Compose file name only what the code has. */
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stackEnv } from '../../../scripts/dev/stack/env.js';
import { root } from '../../../scripts/dev/stack/paths.js';
import { parseRoutes } from '../../../src/domain/routes.js';
import { POOL_THREADS } from '../../../src/scheduling/codecs.js';
import {
  type Instruction,
  readDockerfile,
  readText,
  readYaml,
  requiredWorkerSettings,
  settingNames,
  standardPorts,
  tritonFlag,
  tritonVariables,
  workerConfig,
  workerPaths,
} from '../../support/deploy.js';

const ports = standardPorts();
const tritonPorts = [ports.tritonHttp, ports.tritonGrpc, ports.tritonMetrics];
const pin = (name: string) => new RegExp(`^${name}==([\\d.]+)(?:; python_version [<>]=? ".*)?$`, 'm');

const all = (stages: Instruction[][], name: string) => stages.flat().filter((one) => one.name === name);
const last = (stages: Instruction[][], name: string) =>
  (stages.at(-1) ?? []).filter((one) => one.name === name).map(({ text }) => text);
/** `ARG NAME=value` of a Dockerfile. */
const argument = (stages: Instruction[][], name: string) =>
  all(stages, 'ARG')
    .map(({ text }) => text.split('='))
    .find(([given]) => given === name)?.[1];
const exec = (text: string | undefined) => JSON.parse((text ?? '').replace(/^CMD\s+/, '')) as string[];

describe.each([
  ['.', [ports.worker]],
  ['triton', tritonPorts],
])('the Dockerfile of %s', (context, exposed) => {
  const stages = readDockerfile(join(context, 'Dockerfile'));

  it('copies what exists, and what .dockerignore lets through', () => {
    const sources = all(stages, 'COPY')
      .filter(({ flags }) => flags.from === undefined)
      .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
    expect(sources.length).toBeGreaterThan(3);
    const passing = readText(join(context, '.dockerignore'))
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    for (const source of sources) {
      expect(existsSync(join(root, context, source)), source).toBe(true);
      expect(passing, source).toContain(source.split('/')[0]);
    }
  });

  it('ends as the user 1000, with the ports of the code', () => {
    expect(last(stages, 'USER')).toEqual(['1000:1000']);
    expect(last(stages, 'EXPOSE')).toEqual([exposed.join(' ')]);
  });

  it('has a health check without a shell', () => {
    expect(exec(last(stages, 'HEALTHCHECK')[0]).length).toBeGreaterThan(2);
    expect(exec(last(stages, 'ENTRYPOINT')[0]).at(0)).toMatch(/^\//);
  });

  it('names its base by a version', () => {
    const bases = all(stages, 'ARG').filter(({ text }) => /^\w+_BASE=/.test(text));
    expect(bases.length).toBeGreaterThan(0);
    for (const { text } of bases) expect(text).toMatch(/=\S+:\d+\S+$/);
  });
});

describe('the image imagen-worker', () => {
  const stages = readDockerfile('Dockerfile');

  it('runs the built program, which needs what lies beside it', () => {
    expect(exec(last(stages, 'ENTRYPOINT')[0])).toEqual(['/usr/bin/tini', '--', 'node', '/opt/imagen/dist/main.js']);
    expect(exec(last(stages, 'CMD')[0])).toEqual(['worker']);
    expect(last(stages, 'WORKDIR')).toEqual(['/opt/imagen']);
    const copied = last(stages, 'COPY').flatMap((text) => text.split(/\s+/).slice(0, -1));
    const { files } = JSON.parse(readText('package.json')) as { files: string[] };
    const parts = files.filter((name) => !name.startsWith('!'));
    for (const name of parts) expect(copied.map((path) => path.replace(/^\/build\//, ''))).toContain(name);
    expect(copied).toContain('package.json'); // its version
  });

  it('asks a path for its health that the worker answers, at the port that the worker listens on', () => {
    const check = exec(last(stages, 'HEALTHCHECK')[0]).at(-1) ?? '';
    const [, path] = /http:\/\/127\.0\.0\.1:\$\{process\.env\.PORT\}(\/\w+)/.exec(check) ?? [];
    expect(workerPaths()).toContain(path);
    expect(last(stages, 'ENV').flatMap((text) => text.split(' '))).toContain(`PORT=${ports.worker}`);
    expect(settingNames()).toContain('PORT');
  });

  it('has as many threads as the code counts on', () => {
    expect(last(stages, 'ENV').flatMap((text) => text.split(' '))).toContain(`UV_THREADPOOL_SIZE=${POOL_THREADS}`);
  });

  it('is built with the Node.js that package.json allows', () => {
    const { engines } = JSON.parse(readText('package.json')) as { engines: { node: string } };
    const version = Number(/^node:(\d+)/.exec(argument(stages, 'NODE_BASE') ?? '')?.[1]);
    expect(version).toBeGreaterThanOrEqual(Number(/\d+/.exec(engines.node)?.[0]));
  });
});

describe('the image triton-imagen', () => {
  const stages = readDockerfile('triton/Dockerfile');
  const requirements = readText('triton/requirements.txt');

  it('has the NumPy and the ONNX Runtime that everything else here has been tried with', () => {
    expect(argument(stages, 'NUMPY_VERSION')).toBe(pin('numpy').exec(requirements)?.[1]);
    expect(requirements).toContain(`onnxruntime==${argument(stages, 'ONNXRUNTIME_VERSION') ?? ''}; python_version >=`);
  });

  it('runs nothing in its last stage, which only NVIDIA has the base of', () => {
    expect(last(stages, 'RUN')).toEqual([]);
    expect(argument(stages, 'TRITON_BASE')).toMatch(/^nvcr\.io\/nvidia\/tritonserver:24\.10-py3$/);
  });

  it('has script and models where each looks for the other', () => {
    const { MODEL_REPOSITORY } = Object.fromEntries(
      all(stages, 'ARG').map(({ text }) => text.split('=') as [string, string]),
    );
    const [entrypoint = ''] = exec(last(stages, 'ENTRYPOINT')[0]);
    expect(MODEL_REPOSITORY).toBe(entrypoint.replace(/[^/]+$/, 'model_repository'));
    expect(last(stages, 'COPY')).toContainEqual(`entrypoint.sh ${entrypoint}`);
    expect(exec(last(stages, 'CMD')[0])).toEqual(['serve']);
    expect(readText('triton/entrypoint.sh')).toMatch(/^ {2}serve\) /m);
  });

  it('keeps engines where the exporter says that TensorRT keeps them', () => {
    const cache = all(stages, 'RUN').flatMap(({ text }) => /mkdir -p (\/var\S+)/.exec(text)?.[1] ?? []);
    expect(readText('triton/scripts/imagen_models/variants.py')).toContain(`"${cache[0] ?? ''}"`);
  });
});

interface Service {
  readonly image: string;
  readonly build?: string | { readonly context: string; readonly args?: Readonly<Record<string, string>> };
  readonly environment?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
  readonly volumes?: readonly {
    readonly source: string;
    readonly target: string;
    readonly read_only?: boolean;
    readonly bind?: { readonly create_host_path?: boolean };
  }[];
}

describe('docker-compose.yml', () => {
  const { services } = readYaml('docker-compose.yml') as { services: Readonly<Record<string, Service>> };
  const { setup, worker } = services;
  const named = Object.entries(services).map(([name, service]) => ({ name, service }));
  const mine = named.filter(({ service }) => service.image === 'imagen-worker');
  /** Names by which a service is reached, and the ports that it listens on there. */
  const reachable = new Map(
    named.flatMap(({ name, service: { ports: published = [] } }) => {
      const inside = published.map((port) => Number(port.split(':').at(-1)));
      return [[name, inside] as const, ...(name === 'triton-gpu' ? [['triton', inside] as const] : [])];
    }),
  );

  it('has what the issue asks for', () => {
    expect(Object.keys(services).sort()).toEqual(
      ['gcs', 'grafana', 'prometheus', 'pubsub', 'setup', 'triton', 'triton-gpu', 'worker'].sort(),
    );
    expect(services.triton?.profiles).toEqual([/COMPOSE_PROFILES=(\w+)/.exec(readText('.env'))?.[1]]);
  });

  it.each(named)('$name runs as nobody in particular, and writes nowhere', ({ service }) => {
    expect(service.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(service).toMatchObject({
      ...{ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] },
    });
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
  });

  it.each(named)('$name is pinned, and has a health check', ({ name, service }) => {
    if (service.build === undefined) expect(service.image).toMatch(/:v?\d+\.\d+\.\d+/);
    if (name !== 'setup' && service.image !== 'imagen-worker') expect(service.healthcheck?.test?.[0]).toBe('CMD');
  });

  it.each(mine)(
    '$name is given settings of the code alone, and all that it needs',
    ({ service: { environment = {} } }) => {
      expect(settingNames()).toEqual(expect.arrayContaining(Object.keys(environment)));
      expect(Object.keys(environment)).toEqual(expect.arrayContaining(requiredWorkerSettings()));
      expect(workerConfig(environment).maxAttempts).toBe(5);
    },
  );

  it('names topics, subscriptions, buckets and limits as the local stack does', () => {
    const places = ['PUBSUB_EMULATOR_HOST', 'STORAGE_EMULATOR_HOST', 'TRITON_URL', 'IMAGEN_ROUTES_FILE', 'PORT'];
    const notTheWorkers = 'TRITON_ADMIN_KEY';
    const local = Object.entries(stackEnv(ports)).filter(([name]) => ![...places, notTheWorkers].includes(name));
    expect(worker?.environment).toMatchObject(Object.fromEntries(local));
    expect(setup?.environment).toEqual(worker?.environment);
  });

  it('reaches services by names and ports that they have', () => {
    const { PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST, TRITON_URL } = worker?.environment ?? {};
    for (const [address, port] of [
      [PUBSUB_EMULATOR_HOST, ports.pubsub],
      [STORAGE_EMULATOR_HOST, ports.gcs],
      [TRITON_URL, ports.tritonGrpc],
    ] as const) {
      const [, host = '', given] = /([a-z]+):(\d+)$/.exec(address ?? '') ?? [];
      expect(Number(given), address).toBe(port);
      expect(reachable.get(host), address).toContain(port);
    }
    expect(readText('docker-compose.yml')).toContain(`-external-url=${STORAGE_EMULATOR_HOST ?? ''}`);
  });

  it('publishes the ports of the local stack', () => {
    const published = [...reachable.values()].flat();
    // The backlog's exporter is the stack's alone.
    for (const [name, port] of Object.entries(ports)) if (name !== 'backlog') expect(published).toContain(port);
    expect(reachable.get('triton')).toEqual(tritonPorts);
  });

  it('waits for what exists, in a way that it has', () => {
    for (const { service } of named) {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        const other = services[name];
        expect(other, name).toBeDefined();
        if (condition === 'service_healthy') expect(other?.healthcheck?.test, name).toBeDefined();
      }
    }
    expect(setup?.healthcheck?.disable).toBe(true);
    expect(worker?.depends_on?.triton?.required).toBe(false);
  });

  it('mounts what exists, read-only', () => {
    for (const { service } of named) {
      for (const { source, target, read_only, bind } of service.volumes ?? []) {
        if (bind?.create_host_path !== true) expect(existsSync(join(root, source)), source).toBe(true);
        expect(read_only, target).toBe(true);
      }
    }
    const mounted = worker?.volumes?.find(({ target }) => target === worker.environment?.IMAGEN_ROUTES_FILE);
    const text = readFileSync(join(root, mounted?.source ?? ''), 'utf8');
    expect(() => parseRoutes(text)).not.toThrow();
  });

  it('asks no one for longer than they grant', () => {
    const seconds = (text: string | undefined) => Number(/^(\d+)s$/.exec(text ?? '')?.[1]);
    expect(seconds(worker?.stop_grace_period)).toBeGreaterThan(Number(worker?.environment?.IMAGEN_DRAIN_SECONDS));
    expect(seconds(services.triton?.stop_grace_period)).toBeGreaterThan(Number(tritonFlag('exit-timeout-secs')));
  });

  it('builds Triton for the CPU and for a GPU, and tells it only what it reads', () => {
    const build = (name: string) => services[name]?.build as { context: string; args?: Record<string, string> };
    expect(build('triton').args).toEqual({ ONNXRUNTIME: 'onnxruntime' });
    expect(build('triton-gpu').args).toBeUndefined();
    for (const name of ['triton', 'triton-gpu']) {
      expect(existsSync(join(root, build(name).context, 'Dockerfile'))).toBe(true);
      for (const variable of Object.keys(services[name]?.environment ?? {})) {
        expect(Object.keys(tritonVariables())).toContain(variable);
      }
    }
  });

  it('has Prometheus ask who has metrics, and Grafana ask Prometheus', () => {
    const { scrape_configs, rule_files } = readYaml('scripts/release/compose/prometheus.yml') as {
      rule_files: string[];
      scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const asked = scrape_configs.flatMap(({ dns_sd_configs }) =>
      dns_sd_configs.map(({ names, port }) => [...names, port]),
    );
    expect(asked).toEqual([
      ['worker', ports.worker],
      ['triton', ports.tritonMetrics],
    ]);
    const mounted = services.prometheus?.volumes ?? [];
    const settings = mounted.find(({ source }) => source === 'scripts/release/compose/prometheus.yml')?.target ?? '';
    const rules = rule_files.map((file) => posix.join(posix.dirname(settings), file));
    expect(mounted.map(({ target }) => target)).toEqual(expect.arrayContaining(rules));
    expect(workerPaths()).toContain('/metrics'); // where Prometheus looks unless told otherwise

    const { datasources } = readYaml('scripts/release/compose/grafana/datasources/prometheus.yml') as {
      datasources: { type: string; uid: string; url: string }[];
    };
    expect(datasources).toMatchObject([
      { type: 'prometheus', uid: 'prometheus', url: `http://prometheus:${ports.prometheus}` },
    ]);
    const { providers } = readYaml('scripts/release/compose/grafana/dashboards/imagen.yml') as {
      providers: { options: { path: string } }[];
    };
    const dashboards = services.grafana?.volumes?.find(({ source }) => source === 'k8s/monitoring/dashboards');
    expect(providers.map(({ options }) => options.path)).toEqual([dashboards?.target]);
  });
});

it('has the same licence in the context of Triton, which ends at its folder', () => {
  expect(readText('triton/LICENSE')).toBe(readText('LICENSE'));
});

describe.each(['.', 'triton'])('.dockerignore of %s', (context) => {
  it('keeps what is large or secret out, since it lets only what is named through', () => {
    const [first, ...others] = readText(join(context, '.dockerignore'))
      .split('\n')
      .filter((line) => /^[^#]/.test(line));
    expect(first).toBe('*');
    for (const name of ['node_modules', '.imagen', '.git', '.env', 'dist']) expect(others).not.toContain(`!${name}`);
  });
});

describe('the variables of triton/entrypoint.sh', () => {
  it('are told of at its top, with their defaults', () => {
    const [head = ''] = readText('triton/entrypoint.sh').split('set -eu');
    for (const [name, fallback] of Object.entries(tritonVariables())) {
      if (name === 'HOSTNAME') continue; // not a setting: a container has it
      expect(head, name).toContain(name);
      expect(head, name).toContain(fallback);
    }
  });
});
