import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { demoJobs } from '../../dev/demo/jobs.js';
import { runJobs } from '../../dev/demo/run.js';
import type { Progress } from '../../dev/progress.js';
import { answers } from '../../dev/parts/probe.js';
import type { Stack } from '../../dev/stack/up.js';
import { until } from '../../dev/until.js';
import { Container, type ContainerOptions } from './container.js';
import { type Unpacked, imagesDir, type RunOptions } from './tools.js';

export interface Scene {
  readonly worker: Unpacked;
  readonly triton: Unpacked;
  /** Pub/Sub and Cloud Storage; its ports for Triton and the worker are for what runs in the images. */
  readonly stack: Stack;
  readonly options: RunOptions;
  readonly progress: Progress;
}

/** Throws where something is not as it should be. @returns what is worth telling */
type Check = (scene: Scene) => unknown;

const LIMIT_MS = 120_000;
const user = '1000:1000';

/** Each needs those before it. */
export function checks(): Readonly<Record<string, Check>> {
  let server: Container | undefined;
  let worker: Container | undefined;
  return {
    'worker: user, entry point, port and health check as documented': ({ worker: { config } }) => {
      assert.equal(config.User, user);
      assert.deepEqual(config.Cmd, ['worker']);
      assert.deepEqual(Object.keys(config.ExposedPorts ?? {}), ['8080/tcp']);
      assert.equal(config.Healthcheck?.Test?.[0], 'CMD');
      assert.equal(config.Labels?.['org.opencontainers.image.title'], 'imagen-worker');
    },

    'worker: holds nothing that only developers need, and nothing of this machine': async ({ worker: { folder } }) => {
      const files = await readdir(join(folder, 'opt/imagen'), { recursive: true });
      const waste = files.filter((name) => /\.(?:map|tsx?|cts|mts)$/.test(name));
      const tools = ['typescript', 'vitest', 'eslint', 'tsx'].filter((name) => files.includes(`node_modules/${name}`));
      assert.deepEqual([...waste, ...tools], []);
      assert.equal(files.includes('dist/main.js'), true);
      for (const name of ['tmp', 'root', 'home/node']) {
        const entries = await readdir(join(folder, name));
        assert.equal(
          entries.find((entry) => !/^\.(?:bash|profile)/.test(entry)),
          undefined,
        );
      }
      return `${files.length} files`;
    },

    'worker: no file can be written, by its user or by root': async (scene) => {
      for (const who of [user, '0:0']) {
        const output = await outputOf(scene, 'write', scene.worker, {
          ...{ user: who, entrypoint: ['sh', '-c'] },
          command: ['id -u; for f in /x /tmp/x /opt/imagen/x /dev/shm/x /mnt/x; do ! touch $f || exit 1; done'],
        });
        assert.match(output, new RegExp(`^${who.split(':')[0] ?? ''}\\n`));
        const refused = output.match(/Read-only file system/g) ?? [];
        // The user may not even try where root may.
        assert.equal(refused.length + (output.match(/Permission denied/g) ?? []).length, 5, output);
        if (who === '0:0') assert.equal(refused.length, 5, output);
      }
    },

    'worker: jemalloc is in use': async (scene) => {
      const entrypoint = ['node', '-e', 'process.stdout.write(require("node:fs").readFileSync("/proc/self/maps"))'];
      assert.match(await outputOf(scene, 'jemalloc', scene.worker, { entrypoint, command: [] }), /libjemalloc\.so\.2/);
    },

    'worker: takes the commands of the command line': async (scene) => {
      assert.match(await outputOf(scene, 'help', scene.worker, { command: ['--help'] }), /setup/);
      const wrong = await runOnce(scene, 'wrong', scene.worker, { command: ['worker'] });
      assert.equal(wrong.code, 2, wrong.output);
      assert.match(wrong.output, /GOOGLE_CLOUD_PROJECT/);
    },

    'triton: user, entry point, ports and health check as documented': async ({ triton: { config, folder } }) => {
      assert.equal(config.User, user);
      assert.deepEqual(config.Entrypoint, ['/opt/imagen/entrypoint.sh']);
      assert.deepEqual(Object.keys(config.ExposedPorts ?? {}).sort(), ['8000/tcp', '8001/tcp', '8002/tcp']);
      assert.equal(config.Healthcheck?.Test?.[0], 'CMD');
      const models = await readdir(join(folder, 'opt/imagen/model_repository'));
      assert.deepEqual(models.sort(), ['background_remove', 'enhance', 'style_aged', 'style_comic', 'upscale']);
    },

    'triton: seeds an empty volume as its user': async (scene) => {
      const output = await outputOf(scene, 'seed', scene.triton, {
        ...{ writable: ['/srv'], entrypoint: ['sh', '-c'] },
        command: ['/opt/imagen/entrypoint.sh seed /srv && cd /srv && find . -name model.onnx | sort'],
      });
      assert.equal(output.match(/model\.onnx\n/g)?.length, 6, output);
    },

    'triton: serves all models, its files read-only': async (scene) => {
      const { ports } = scene.stack;
      const begun = Date.now();
      server = await Container.start('triton', scene.triton, scene.options, {
        command: [
          ...['serve', `--http-port=${ports.tritonHttp}`, `--grpc-port=${ports.tritonGrpc}`],
          `--metrics-port=${ports.tritonMetrics}`,
        ],
        writable: ['/tmp', '/dev/shm'],
      });
      await ready(server, `http://127.0.0.1:${ports.tritonHttp}/v2/health/ready`);
      const metrics = await (await fetch(`http://127.0.0.1:${ports.tritonMetrics}/metrics`)).text();
      for (const model of ['background_remove', 'enhance', 'style_aged', 'style_comic', 'upscale']) {
        assert.ok(metrics.includes(`nv_inference_count{model="${model}"`), `${model} is not served`);
      }
      return `ready after ${((Date.now() - begun) / 1000).toFixed(1)} s`;
    },

    'worker: setup makes topics, subscriptions and buckets': async (scene) => {
      await outputOf(scene, 'setup', scene.worker, { command: ['setup'], env: scene.stack.env });
    },

    'worker: pulls jobs as its user; jemalloc, libjpeg-turbo, no capabilities, no new ones': async (scene) => {
      worker = await Container.start('worker', scene.worker, scene.options, {
        // Beside what the image has; a folder of routes lies where a container would have it mounted.
        env: { ...scene.stack.env, IMAGEN_ROUTES_FILE: '/mnt/routes.json', HOSTNAME: 'image-under-test' },
      });
      await ready(worker, `http://127.0.0.1:${scene.stack.ports.worker}/readyz`);
      const [tini, node, ...others] = worker.processes();
      assert.deepEqual(others, []);
      assert.match(commandOf(tini), /^\/usr\/bin\/tini/);
      assert.match(commandOf(node), /^node/);
      const status = readFileSync(`/proc/${node ?? 0}/status`, 'utf8');
      assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, /^CapBnd:\t0+$/m);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(readFileSync(`/proc/${tini ?? 0}/status`, 'utf8'), /^NSpid:\t\d+\t1$/m);
      const libraries = readFileSync(`/proc/${node ?? 0}/maps`, 'utf8');
      for (const library of [/libjemalloc\.so\.2/, /libturbojpeg\.so\.0/]) assert.match(libraries, library);
      return `${Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024)} MiB resident`;
    },

    'worker: its health check answers for the port that PORT names': async (scene) => {
      const check = scene.worker.config.Healthcheck?.Test?.slice(1) ?? [];
      const how = { entrypoint: check, command: [] };
      const asked = (port: number) =>
        runOnce(scene, 'healthcheck', scene.worker, { ...how, env: { PORT: String(port) } });
      assert.equal((await asked(scene.stack.ports.worker)).code, 0);
      assert.equal((await asked(scene.stack.ports.prometheus)).code, 1); // where nobody listens
    },

    "the demo's jobs go through both images": async (scene) => {
      const first = worker?.first();
      assert.ok(first, 'there is no worker');
      const folder = join(imagesDir, 'demo');
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      const { stack, options, progress } = scene;
      const log = join(imagesDir, 'logs/worker.log');
      const demoStack = { env: { ...process.env, ...stack.env }, worker: { ...first, port: stack.ports.worker, log } };
      const place = { demoStack, progress, signal: options.signal, folder };
      const { outcomes, wallMs } = await runJobs(demoJobs({ routed: true }), place);
      assert.deepEqual(
        outcomes.flatMap(({ job, problem }) => (problem ? { ...problem, job: job.name } : [])),
        [],
      );
      assert.equal(new Set(outcomes.map(({ completion }) => completion?.worker)).has('image-under-test'), true);
      return `${outcomes.length} jobs in ${(wallMs / 1000).toFixed(1)} s`;
    },

    'worker: SIGTERM to process 1 ends it with code 0': async () => {
      assert.ok(worker);
      const begun = Date.now();
      const ended = await worker.stop(30_000);
      assert.equal(ended.code, 0, ended.output);
      assert.match(ended.output, /"message":"stopped"/);
      return `${Date.now() - begun} ms`;
    },

    'worker: SIGTERM also ends a command without a handler for it': async (scene) => {
      const waiting = await Container.start('no-handler', scene.worker, scene.options, {
        ...{ entrypoint: ['/usr/bin/tini', '--', 'node', '-e'], command: ['setInterval(() => {}, 1000)'] },
      });
      await until(() => waiting.processes().length === 2, { limitMs: LIMIT_MS });
      await sleep(500);
      const ended = await waiting.stop(10_000);
      assert.equal(ended.code, 143, JSON.stringify(ended));
    },

    'triton: SIGTERM to process 1 ends it with code 0': async () => {
      assert.ok(server);
      const begun = Date.now();
      const ended = await server.stop(40_000);
      assert.equal(ended.code, 0, ended.output);
      return `${Date.now() - begun} ms`;
    },
  };
}

async function runOnce({ options }: Scene, name: string, image: Unpacked, how: ContainerOptions) {
  return (await Container.start(name, image, options, how)).end(LIMIT_MS);
}

/** @throws AssertionError when it does not end with code 0 */
async function outputOf(...run: Parameters<typeof runOnce>): Promise<string> {
  const { code, output } = await runOnce(...run);
  assert.equal(code, 0, output);
  return output;
}

/** Waits until the address answers. @throws Error with its output when the program ends before that */
async function ready({ ended }: Container, url: string): Promise<void> {
  const failed = ended.then(({ output }) => Promise.reject(new Error(`it ended before it answered\n${output}`)));
  await Promise.race([failed, until(() => answers(url), { limitMs: LIMIT_MS, what: url })]);
}

const commandOf = (pid: number | undefined) =>
  readFileSync(`/proc/${pid ?? 0}/cmdline`, 'utf8')
    .split('\0')
    .join(' ');
