/** A version from the engineer's folder to jobs: push, load, a job, unload, on a real Triton that has other work meanwhile. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { modelProcesses } from '../../scripts/dev/parts/triton.js';
import { root } from '../../scripts/dev/stack/paths.js';
import { Channel } from '../../src/adapters/triton/channel.js';
import { describe as describeConfig } from '../../src/adapters/triton/contracts.js';
import { readConfigText } from '../../src/adapters/triton/text-schema.js';
import { run } from '../../src/cli/index.js';
import type { ModelConfig } from '../../src/adapters/triton/wire.js';
import { codeOf, configOf, NEGATE, writeModel } from '../support/model-folders.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const { dir, env } = inject('stack');
const repository = join(dir, 'triton/models');
const model = `negative-${process.pid}`;
/** Brighter to the right, by the column of the tile: seams show. */
const SEAMED = 'image // 2 + np.arange(image.shape[2]).reshape(1, 1, -1, 1) * 2';

let scene: Scene;
let worker: WorkerProcess;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-ship-'));
  scene = await createScene({ TRITON_ADMIN_KEY: '', TRITON_ADMIN_KEY_FILE: join(folder, 'key') });
  await writeFile(join(folder, 'key'), `${env.TRITON_ADMIN_KEY}\n`);
  worker = await scene.startWorker();
});
afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
  await rm(join(repository, model), { recursive: true, force: true });
});

/** Runs a command in this process, because a program takes a second to start. */
const models = (...args: string[]) => modelsOf(scene.env, ...args);
async function modelsOf(of: NodeJS.ProcessEnv, ...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const spies = [
    vi.spyOn(console, 'log').mockImplementation((text) => void out.push(String(text))),
    vi.spyOn(console, 'error').mockImplementation((text) => void err.push(String(text))),
  ];
  const code = await run(['node', 'imagen', 'models', ...args], of);
  for (const spy of spies) spy.mockRestore();
  const [stdout, stderr] = [out.join('\n'), err.join('\n')];
  return { code, stdout, stderr, all: stdout + stderr };
}

it('ships a version while jobs run, and none fails', async () => {
  showOnFailure(worker);
  const config = configOf(model, 'all {}');
  const files = { '1/model.py': codeOf(NEGATE), '2/model.py': codeOf(SEAMED) };
  const own = await writeModel(folder, model, config, files);
  const picture = await sharp({ create: { width: 90, height: 40, channels: 3, background: '#102030' } })
    .png()
    .toBuffer();
  const uri = await scene.upload('a.png', picture);
  let [sent, stopped, isLoaded] = [0, false, false];
  const load = (async () => {
    for (; !stopped; sent++) {
      const operations = sent % 2 === 0 || !isLoaded ? ['echo'] : [{ model, version: '1' }];
      await scene.publish({ jobId: `load-${sent}`, operations, input: { uri } });
      await until(() => scene.published.length > sent, 30_000);
    }
  })();

  const first = await models(
    'push',
    own,
    '--repository',
    repository,
    '--version',
    '1',
    '--note',
    'the first',
    '--triton',
  );
  expect(first, first.all).toMatchObject({ code: 0 });
  const loaded = await models('load', model, '--version', '1', '--json');
  expect(loaded, loaded.all).toMatchObject({ code: 0 });
  expect(JSON.parse(loaded.stdout)).toMatchObject({ replicas: [{ versions: ['1'] }] });
  isLoaded = true;
  const pids = () => modelProcesses(dir, model).map(({ pid }) => pid);
  const [process1 = expect.fail()] = pids();

  const early = await models('load', model, '--version', '2');
  expect(early.code).toBe(1);
  expect(early.stderr).toContain('serves 1: expected 2');
  const dry = await models('push', own, '--repository', repository, '--version', '2', '--dry-run');
  expect(dry.stdout).toContain(`${model}/2 would be pushed`);
  expect(await models('push', own, '--repository', repository, '--version', '2')).toMatchObject({ code: 0 });
  const second = await models('load', model, '--version', '2');
  expect(second, second.all).toMatchObject({ code: 0 });
  expect(pids()).toContain(process1); // it has served meanwhile
  await scene.publish({ jobId: 'new-version', operations: [{ model, version: '2' }], input: { uri } });
  const [{ completion } = expect.fail()] = await scene.completions(1, 'new-version');
  expect(completion).toMatchObject({ status: 'succeeded', steps: [{ model, servedVersion: '2' }] });

  await writeModel(folder, model, config, { '2/model.py': codeOf('image') });
  const changed = await models('push', own, '--repository', repository, '--version', '2', '--triton');
  expect(changed.code).toBe(1);
  expect(changed.stderr).toContain('exists with other contents (model.py');
  await rm(join(repository, model, '2'), { recursive: true });
  const served = await models('push', own, '--repository', repository, '--version', '2', '--triton');
  expect(served.stderr).toMatch(/version 2 is served by ipv4:[\d.:]+, and versions never change/);

  const shown = await models('show', model, '--repository', repository);
  expect(shown.stdout).toMatch(
    new RegExp(`version 1: tile\\|whole[^]*: ready: 1, 2\\n[^]*version 1, 1 files, pushed by .*: the first`),
  );
  const checked = await models('check', own, '--triton', '--json');
  expect(JSON.parse(checked.stdout)).toMatchObject({
    triton: { tried: [{ version: '1', plans: ['tile', 'whole'], seam: 0 }, { version: '2' }] },
    faults: [{ file: '2/', field: 'imagen.seam_tolerance' }],
  });
  expect(checked.code).toBe(1);

  stopped = true;
  await load;
  await scene.completions(sent + 1);
  const failed = scene.published.filter((one) => one.completion.status !== 'succeeded');
  expect(failed.map((one) => one.completion)).toEqual([]);
  const [, port = ''] = /:(\d+)$/.exec(env.TRITON_URL) ?? [];
  const half = { ...scene.env, TRITON_URL: `ipv4:127.0.0.1:${port},127.0.0.1:1` };
  const partly = await modelsOf(half, 'load', model, '--wait-seconds', '5', '--json');
  expect(JSON.parse(partly.stdout)).toMatchObject({
    // Version 2 left with its folder.
    replicas: [
      { versions: ['1'] },
      { replica: 'ipv4:127.0.0.1:1', error: expect.stringMatching(/connect|5 s/) as string },
    ],
  });
  expect(partly.code).toBe(1);
  const both = await modelsOf({ ...scene.env, TRITON_ADMIN_KEY: 'x' }, 'unload', model);
  expect(both).toMatchObject({ code: 2 });
  expect(both.stderr).toContain('TRITON_ADMIN_KEY_FILE: expected nothing beside TRITON_ADMIN_KEY');
  const gone = await models('unload', model);
  expect(gone, gone.all).toMatchObject({ code: 0 });
  expect(gone.stdout).toContain(`no longer serves ${model}`);
  expect((await models('show', model, '--repository', repository)).stdout).toContain('ready: none');
  expect((await models('list')).stdout).not.toContain('.imagen-push');
});

it('ships a version by the commands of docs/versions.md', async () => {
  const section = readFileSync(join(root, 'docs/versions.md'), 'utf8').split('## Ship a version')[1] ?? '';
  const [, commands = ''] = /```sh\n([\s\S]*?)```/.exec(section) ?? [];
  const config = configOf('negative', 'all {}');
  await writeModel(join(folder, 'models'), 'negative', config, { '2/model.py': codeOf('250 - image') });
  const script = `imagen() { ${JSON.stringify(process.execPath)} ${JSON.stringify(CLI)} "$@"; }; cd ${folder}; set -ex\n${commands}`;
  const done = await runProgram('bash', ['-c', script], { ...scene.env, REPOSITORY: repository });
  await models('unload', 'negative');
  await rm(join(repository, 'negative'), { recursive: true, force: true });
  expect(done, done.stderr).toMatchObject({ code: 0 });
  expect(done.stdout).toMatch(
    /negative\/2 is pushed, config\.pbtxt new[^]*serves negative version 2[^]*ready: 2\n[^]*: darker/,
  );
});

describe('the configuration that a real Triton answers', () => {
  const channel = new Channel(env.TRITON_URL);
  afterAll(() => channel.close());

  it.each([
    ...['background_remove', 'enhance', 'style_aged', 'style_comic', 'upscale'].map(
      (name) => `triton/model_repository/${name}`,
    ),
    ...['echo', 'mixed', 'ranked', 'single'].map((name) => `test/fixtures/models/${name}`),
  ])('is what is read of %s', async (path) => {
    const { config: own, faults } = readConfigText(readFileSync(join(root, path, 'config.pbtxt'), 'utf8'));
    expect(faults).toEqual([]);
    const request = { name: path.split('/').at(-1) ?? '', version: '' };
    const { config } = await channel.call('ModelConfig', request, {
      signal: AbortSignal.timeout(10_000),
      deadlineMs: 10_000,
    });
    const described = describeConfig(config ?? expect.fail(), ['1']);
    // Triton has completed it: at least one instance.
    const mine = describeConfig(own as unknown as ModelConfig, ['1']);
    expect({ ...mine, instances: Math.max(1, mine.instances) }).toEqual(described);
  });
});
