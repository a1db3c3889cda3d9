/** Routes in Cloud Storage: workers that watch them, and the commands that edit them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/cli/index.js';
import { type Finished, runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';
import { type Moment, startStorageProxy } from '../support/storage-proxy.js';

interface Shown {
  readonly generation: string;
  readonly change: { readonly by: string; readonly note?: string } | null;
  readonly models: Readonly<
    Record<string, { readonly default: { readonly version: string; readonly served: boolean } }>
  >;
}
interface Listed {
  readonly formers: readonly { readonly id: string; readonly differs: readonly string[] | null }[];
}

let scene: Scene;
let folder: string;
let emulator: string;
beforeAll(async () => {
  scene = await createScene();
  folder = await mkdtemp(join(tmpdir(), 'imagen-routes-'));
  emulator = scene.env.STORAGE_EMULATOR_HOST;
});
afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true });
});

let number = 0;
/** Of a document that no other test has. */
const newPlace = () => `gs://state-${scene.id}/config/routes-${++number}.json`;
const envOf = (place: string, more: Readonly<Record<string, string>> = {}) => ({
  ...scene.env,
  IMAGEN_ROUTES_FILE: place,
  ...more,
});
const objectOf = (place: string) => scene.state.file(place.replace(/^gs:\/\/[^/]+\//, ''));

let queue: Promise<unknown> = Promise.resolve();
/** In this process, one after another, since most of what a run takes is its start. */
function imagen(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Finished> {
  const done = queue.then(async () => {
    const said = { stdout: '', stderr: '' };
    const hear = (stream: keyof typeof said) => (text: unknown) => void (said[stream] += `${String(text)}\n`);
    const spies = [
      vi.spyOn(console, 'log').mockImplementation(hear('stdout')),
      vi.spyOn(console, 'error').mockImplementation(hear('stderr')),
    ];
    try {
      return { code: await run(['node', 'imagen', ...args], env), ...said };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });
  queue = done;
  return done;
}

async function succeeds(place: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await imagen(envOf(place), ...args);
  expect(code, stderr).toBe(0);
  return stdout;
}
const show = async (place: string) => JSON.parse(await succeeds(place, 'routes', 'show', '--json')) as Shown;
const history = async (place: string) =>
  (JSON.parse(await succeeds(place, 'routes', 'history', '--json')) as Listed).formers;
const defaults = async (place: string) => {
  const { models } = await show(place);
  return Object.fromEntries(Object.entries(models).map(([model, entry]) => [model, entry.default.version]));
};

/** A document that says so of each model. */
async function routes(place: string, models: Readonly<Record<string, string>>): Promise<void> {
  const path = join(folder, `new-${++number}.json`);
  const entries = Object.entries(models).map(([model, version]) => [model, { default: version }]);
  await writeFile(path, JSON.stringify({ models: Object.fromEntries(entries) as object }));
  await succeeds(place, 'routes', 'set', path);
}

describe('a worker', () => {
  let place: string;
  let worker: WorkerProcess;
  let uri: string;
  let sent = 0;

  async function versionsOf(count: number): Promise<string[]> {
    const before = scene.published.length;
    const ids = Array.from({ length: count }, () => `job-${++sent}`);
    await Promise.all(ids.map((jobId) => scene.publish({ jobId, operations: ['echo'], input: { uri } })));
    await scene.completions(before + count);
    const ended = scene.published.slice(before).map(({ completion }) => completion);
    expect(ended.map(({ status }) => status)).toEqual(ended.map(() => 'succeeded'));
    return ended.map(({ steps }) => steps?.[0]?.servedVersion ?? 'none');
  }
  const uses = (version: string) => until(async () => (await versionsOf(2)).every((one) => one === version), 20_000);

  beforeAll(async () => {
    place = newPlace();
    const picture = sharp({ create: { width: 32, height: 24, channels: 3, background: '#456' } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());
    await routes(place, { echo: '1', upscale: '1' });
    // Storage is away when it starts.
    let requests = 0;
    const away = () => (++requests === 1 ? Promise.reject(new Error('away')) : undefined);
    const proxy = await startStorageProxy(emulator, away);
    worker = await scene.startWorker({ IMAGEN_ROUTES_FILE: place, STORAGE_EMULATOR_HOST: proxy.address });
    expect(worker.log()).toContain('the routes cannot be read; the worker waits for them');
    return () => proxy.close();
  });
  beforeEach(() => showOnFailure(worker));

  it('takes another version while jobs run, and goes back, and no job fails', async () => {
    expect(new Set(await versionsOf(4))).toEqual(new Set(['1']));
    await succeeds(place, 'models', 'promote', 'echo', '2', '--note', 'better');
    await uses('2');
    await succeeds(place, 'models', 'promote', 'upscale', '2');
    const said = await succeeds(place, 'models', 'rollback', 'echo');
    expect(said).toMatch(/echo: version 1 is the default again, as in the former routes \d+/);
    await uses('1');
    expect(await defaults(place)).toEqual({ echo: '1', upscale: '2' });
    expect(worker.log()).toMatch(/"generation":"\d+".*the routes file has changed/);
  });

  it('refuses a broken document, and goes on by the last good one', async () => {
    await objectOf(place).save('{"models":{"echo":{}}}', { resumable: false });
    await until(() => worker.log().includes('the routes file is broken; the last good one stays'), 20_000);
    expect(worker.log()).toContain('models.echo.default: expected a version number as a string, given nothing');
    expect(await versionsOf(2)).toEqual(['1', '1']);
    const { code, stderr } = await imagen(envOf(place), 'models', 'promote', 'echo', '2');
    expect([code, stderr]).toEqual([2, expect.stringContaining('models.echo.default')]);
    await routes(place, { echo: '2' });
    await uses('2');
  });

  it('goes on by the last good one when the document is deleted', async () => {
    await objectOf(place).delete();
    await until(() => worker.log().includes('the routes cannot be read; the last good ones stay'), 20_000);
    expect(await versionsOf(2)).toEqual(['2', '2']);
    await routes(place, { echo: '1' });
    await uses('1');
    expect(worker.log().match(/the last good ones stay/g)).toHaveLength(1);
  });

  it('does not start with missing or wrong routes', async () => {
    const [missing, wrong] = [newPlace(), newPlace()];
    await objectOf(wrong).save('{"models":[]}', { resumable: false });
    const start = (at: string) => runProgram(process.execPath, [CLI, 'worker'], envOf(at));
    const [one, other] = await Promise.all([start(missing), start(wrong)]);
    expect([one.code, other.code]).toEqual([2, 2]);
    expect(one.stderr).toMatch(/expected an object of routes, given gs:.*: there is no such object/);
    expect(other.stderr).toMatch(/models: expected an object with names of models as keys/);
  });
});

describe('imagen', () => {
  it('shows the routes in force, which doctor and process use', async () => {
    const place = newPlace();
    await routes(place, { echo: '1' });
    await succeeds(place, 'models', 'promote', 'echo', '2', '--share', '5', '--note', 'first try');
    const { generation, change, models } = await show(place);
    expect(generation).toMatch(/^\d+$/);
    expect(change).toMatchObject({ by: expect.stringContaining('@') as string, note: 'first try' });
    expect(models).toMatchObject({
      echo: {
        default: { version: '1', served: true },
        experiment: {
          arms: [
            { version: '1', share: 0.95, served: true },
            { version: '2', share: 0.05, served: true },
          ],
          guard: { maxFailureRatio: 0.1 },
        },
      },
    });
    expect(await succeeds(place, 'routes', 'show')).toMatch(/canary: version 2, 5 %/);
    const { stdout } = await imagen(envOf(place), 'doctor');
    expect(stdout).toMatch(/^ok +routes\.file +gs:.*: 2 versions, 1 experiments$/m);
    const [input, output] = [join(folder, 'in.png'), join(folder, 'out.png')];
    await sharp({ create: { width: 8, height: 8, channels: 3, background: '#456' } }).toFile(input);
    const processed = await imagen(envOf(place), 'process', input, '-p', 'echo', '-o', output);
    expect(processed.stderr).toContain('echo@1');
  });

  it('refuses a version that is not served, except with --force, and shows what would change', async () => {
    const place = newPlace();
    await routes(place, { echo: '1' });
    const { code, stderr } = await imagen(envOf(place), 'models', 'promote', 'echo', '9');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/does not serve echo\/9 \(0 of 1 replicas serve it\)/)]);
    const dry = await succeeds(place, 'models', 'promote', 'echo', '9', '--force', '--dry-run');
    expect(dry).toMatch(/^echo:\n {2}\{\n- {3}"default": "1"\n\+ {3}"default": "9"\n/);
    expect(await defaults(place)).toEqual({ echo: '1' });
    await succeeds(place, 'models', 'promote', 'echo', '9', '--force');
    expect((await show(place)).models.echo?.default).toEqual({ version: '9', served: false });
  });

  it('rolls one model back, leaves the changes of the others, and restores all', async () => {
    const place = newPlace();
    await routes(place, { echo: '1', upscale: '1' });
    await succeeds(place, 'models', 'promote', 'echo', '2');
    await succeeds(place, 'models', 'promote', 'upscale', '2');
    await succeeds(place, 'models', 'rollback', 'echo');
    expect(await defaults(place)).toEqual({ echo: '1', upscale: '2' });
    expect((await history(place)).map(({ differs }) => differs)).toEqual([['echo'], ['upscale'], ['echo']]);
    await succeeds(place, 'routes', 'restore', (await history(place)).at(-1)?.id ?? '');
    expect(await defaults(place)).toEqual({ echo: '1', upscale: '1' });
    const { code, stderr } = await imagen(envOf(place), 'models', 'rollback', 'failing');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/the history has no other routes of failing/)]);
  });
});

/** The requests that write, in their order. */
const KEEP = 'ifGenerationMatch=0&';
const REPLACE = /ifGenerationMatch=[1-9]/;

describe('two writers at once', () => {
  it('of whom one wins, and the other is told', async () => {
    const place = newPlace();
    await routes(place, { echo: '1', upscale: '1' });
    let release: () => void = () => undefined;
    let held = false;
    const proxy = await startStorageProxy(emulator, (line, moment) => {
      if (moment === 'after' || !REPLACE.test(line)) return undefined;
      held = true;
      return new Promise<void>((resolve) => (release = resolve));
    });
    const slow = runProgram(
      process.execPath,
      [CLI, 'models', 'promote', 'echo', '2'],
      envOf(place, { STORAGE_EMULATOR_HOST: proxy.address }),
    );
    await until(() => held, 20_000);
    await succeeds(place, 'models', 'promote', 'upscale', '2');
    release();
    const { code, stderr } = await slow;
    expect([code, stderr]).toEqual([1, expect.stringContaining('it has changed meanwhile, so nothing was written')]);
    expect(await defaults(place)).toEqual({ echo: '1', upscale: '2' });
    expect(await history(place)).toHaveLength(1);
    await proxy.close();
  });
});

describe('a writer that is killed', () => {
  const isAt = (line: string, step: 'keep' | 'replace') =>
    line.startsWith('POST') && (step === 'keep' ? line.includes(KEEP) : REPLACE.test(line));

  it.concurrent.each([
    ['keep', 'before', '1', 0],
    ['keep', 'after', '1', 0],
    ['replace', 'before', '1', 0],
    ['replace', 'after', '2', 1],
  ] as const)('at the step to %s, %s the service has it', async (step, when: Moment, version, kept) => {
    const place = newPlace();
    await routes(place, { echo: '1' });
    let held = false;
    const proxy = await startStorageProxy(emulator, (line, moment) => {
      if (moment !== when || !isAt(line, step)) return undefined;
      held = true;
      return new Promise<void>(() => undefined);
    });
    const env = envOf(place, { STORAGE_EMULATOR_HOST: proxy.address });
    const writer = spawn(process.execPath, [CLI, 'models', 'promote', 'echo', '2', '--force'], {
      env,
      stdio: 'ignore',
    });
    await until(() => held, 20_000);
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    expect(await defaults(place)).toEqual({ echo: version });
    expect(await history(place)).toHaveLength(kept);
    await succeeds(place, 'models', 'promote', 'echo', version === '1' ? '2' : '1');
    expect(await history(place)).toHaveLength(kept + 1);
    await proxy.close();
  });

  it.concurrent.each(['link', 'rename'])('at the %s of a local file', async (call) => {
    const place = join(folder, `${call}.json`);
    await routes(place, { echo: '1' });
    const before = await readFile(place, 'utf8');
    const killer = `data:text/javascript,${encodeURIComponent(`
      import { promises } from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const real = promises.${call};
      promises.${call} = (from, to) => to.endsWith('.lock') ? real(from, to) : process.kill(process.pid, 'SIGKILL');
      syncBuiltinESMExports();`)}`;
    const env = envOf(place, { NODE_OPTIONS: `--import=${killer}` });
    const { code } = await runProgram(process.execPath, [CLI, 'models', 'promote', 'echo', '2', '--force'], env);
    expect(code).toBeNull();
    expect(await readFile(place, 'utf8')).toBe(before);
    await succeeds(place, 'models', 'promote', 'echo', '2');
    expect(await history(place)).toHaveLength(1);
    await succeeds(place, 'models', 'rollback', 'echo');
    expect(await defaults(place)).toEqual({ echo: '1' });
  });
});
