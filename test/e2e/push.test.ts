/** `imagen models push` into a folder and into Cloud Storage: cut off at every step, two at once, and what it refuses. */
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createStorage } from '../../scripts/lab/google-clients.js';
import { readModelDirectory } from '../../src/cli/models/directory.js';
import { manifestOf } from '../../src/cli/models/manifest.js';
import { type Parcel, shows } from '../../src/cli/models/push-rules.js';
import { openRepository } from '../../src/cli/models/repository.js';
import { codeOf, configOf, contentsOf, NEGATE, writeModel } from '../support/model-folders.js';
import { runProgram } from '../support/program.js';

const CLI = new URL('../../dist/main.js', import.meta.url).pathname;
const KILL_AT = new URL('../support/kill-at.js', import.meta.url).href;
const PUSH = new URL('../support/push-once.js', import.meta.url).pathname;
const { env: stackEnv } = inject('stack');
const env = { ...process.env, ...stackEnv };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-push-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const imagen = (...args: string[]) => runProgram(process.execPath, [CLI, 'models', ...args], env);

const names = (...versions: number[]) => `specific { versions: [ ${versions.join(', ')} ] }`;
const OLD = configOf('negative', names(1));
const NEW = configOf('negative', names(1, 2), 'parameters { key: "imagen.v2.margin" value { string_value: "4" } }');

async function parcelOf(config: string, version: string, code: string, name: string): Promise<Parcel> {
  const place = await writeModel(join(folder, name), 'negative', config, { [`${version}/model.py`]: codeOf(code) });
  const { model, versions, shared } = await readModelDirectory(place);
  const files = versions.get(version) ?? [];
  const manifest = await manifestOf({ model, version, config }, files, undefined);
  return { model, version, config, files, shared, manifest };
}

/** What a server that reads the repository now makes of it: versions that the configuration does not name are not there. */
function seen(contents: Readonly<Record<string, string>>): Record<string, string> {
  const config = contents['negative/config.pbtxt'];
  const isShown = (path: string) => {
    const version = /^negative\/(\d+)\//.exec(path)?.[1];
    return version === undefined || (config !== undefined && shows(config, version));
  };
  return Object.fromEntries(Object.entries(contents).filter(([path]) => isShown(path)));
}

describe('into a folder', () => {
  it.each<[string, string | undefined, string]>([
    ['a new model', undefined, NEW],
    ['a version with a new configuration', OLD, NEW],
  ])('leaves %s out or puts all of it there, wherever it is killed', async (name, stored, config) => {
    const start = await mkdtemp(join(folder, 'start-'));
    if (stored !== undefined) await writeModel(start, 'negative', stored, { '1/model.py': codeOf(NEGATE) });
    const parcel = await parcelOf(config, '2', '254 - image', `parcel-${name}`);
    const model = join(folder, `parcel-${name}`, 'negative');
    const whole = await mkdtemp(join(folder, 'whole-'));
    await cp(start, whole, { recursive: true });
    expect(await (await openRepository(whole, undefined)).push(parcel, false)).toMatchObject({ outcome: 'pushed' });
    const [before, after] = [await contentsOf(start), await contentsOf(whole)];

    const kill = async (at: number): Promise<boolean> => {
      const repository = await mkdtemp(join(folder, 'killed-'));
      await cp(start, repository, { recursive: true });
      const armed = { NODE_OPTIONS: `--import ${KILL_AT}`, KILL_AT: String(at) };
      const { code } = await runProgram(process.execPath, [PUSH, model, repository], { ...env, ...armed });
      const found = await contentsOf(repository);
      expect([before, after], `killed before change ${at}`).toContainEqual(seen(found));
      const again = await (await openRepository(repository, undefined)).push(parcel, false);
      expect(again.outcome).toBe('negative/2/model.py' in found ? 'already there' : 'pushed');
      expect(await contentsOf(repository)).toEqual(after);
      expect(await readdir(join(repository, '.imagen-push'))).toEqual([]);
      return code === null;
    };
    let at = 1;
    for (let killed = true; killed; at += 3)
      killed = (await Promise.all([at, at + 1, at + 2].map(kill))).every(Boolean);
    expect(at).toBeGreaterThan(10);
  });

  it('lets one of two pushes win, and tells the other', async () => {
    const repository = await mkdtemp(join(folder, 'twice-'));
    const ways = await Promise.all(
      ['253 - image', '252 - image'].map(async (code, index) => {
        await parcelOf(NEW, '2', code, `twice-${index}`);
        return join(folder, `twice-${index}`, 'negative');
      }),
    );
    const done = await Promise.all(ways.map((way) => imagen('push', way, '--repository', repository)));
    expect(done.map(({ code }) => code).sort(), done.map(({ stderr }) => stderr).join()).toEqual([0, 1]);
    const lost = done.find(({ code }) => code === 1);
    expect(lost?.stderr).toMatch(
      /negative\/2 is not pushed: (another push of negative is under way|version 2 exists with other contents)/,
    );
    const winner = done.findIndex(({ code }) => code === 0);
    expect((await contentsOf(repository))['negative/2/model.py']).toBe(
      codeOf(winner === 0 ? '253 - image' : '252 - image'),
    );
  });
});

describe('into Cloud Storage', () => {
  const storage = createStorage({ projectId: stackEnv.GOOGLE_CLOUD_PROJECT, emulator: stackEnv.STORAGE_EMULATOR_HOST });
  let proxy: Server;
  let emulator: string;
  /** How many changes pass before the connection is cut for good, and whether the last of them is still made. */
  let cut = { after: Infinity, made: false };
  let changes = 0;

  beforeAll(async () => {
    proxy = createServer((incoming, outgoing) => {
      const changing = incoming.method !== 'GET';
      if (changing) changes++;
      if (changes > cut.after && !(changing && cut.made && changes === cut.after + 1)) {
        incoming.socket.destroy();
        return;
      }
      const target = new URL(incoming.url ?? '', stackEnv.STORAGE_EMULATOR_HOST);
      const forward = httpRequest(target, { method: incoming.method, headers: incoming.headers }, (answer) => {
        if (changes > cut.after) {
          answer.resume().on('end', () => incoming.socket.destroy());
          return;
        }
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(forward);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    emulator = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterAll(() => proxy.close());

  async function bucketWith(stored: string | undefined): Promise<string> {
    const name = `models-${process.pid}-${Math.random().toString(36).slice(2, 10)}`;
    await storage.createBucket(name);
    if (stored !== undefined) {
      await storage.bucket(name).file('repo/negative/1/model.py').save(codeOf(NEGATE), { resumable: false });
      await storage.bucket(name).file('repo/negative/config.pbtxt').save(stored, { resumable: false });
    }
    return name;
  }

  async function contents(bucket: string): Promise<Record<string, string>> {
    const [files] = await storage.bucket(bucket).getFiles();
    const each = files.map(async (file) => [file.name, (await file.download())[0].toString()] as const);
    return Object.fromEntries(await Promise.all(each));
  }
  const open = (bucket: string, through = stackEnv.STORAGE_EMULATOR_HOST) =>
    openRepository(`gs://${bucket}/repo`, through);

  it.each([
    ['a new model', undefined],
    ['a version', OLD],
  ])('shows nothing of %s before all of it is there, wherever it is cut off', async (name, stored) => {
    const parcel = await parcelOf(
      NEW.replace('1, 2', stored === undefined ? '2' : '1, 2'),
      '2',
      '251 - image',
      `cut-${name}`,
    );
    let done = false;
    for (let after = 0; !done; after++) {
      for (const made of [false, true]) {
        const bucket = await bucketWith(stored);
        [cut, changes] = [{ after, made }, 0];
        const outcome = await (await open(bucket, emulator)).push(parcel, false).catch(() => undefined);
        const found = await contents(bucket);
        const isComplete = found['repo/negative/config.pbtxt'] === parcel.config;
        if (outcome) expect(isComplete).toBe(true);
        if (isComplete) expect(found['repo/negative/2/model.py']).toBe(codeOf('251 - image'));
        else expect(found['repo/negative/config.pbtxt']).toBe(stored);
        done = outcome !== undefined;

        const again = await (await open(bucket)).push(parcel, false);
        expect(again.outcome).toBe(isComplete ? 'already there' : 'pushed');
        const whole = await contents(bucket);
        expect(whole['repo/negative/config.pbtxt']).toBe(parcel.config);
        expect(whole['repo/negative/2/model.py']).toBe(codeOf('251 - image'));
        expect(JSON.parse(whole['repo/negative/2/imagen-manifest.json'] ?? '')).toMatchObject({ version: '2' });
      }
    }
    expect(changes).toBeGreaterThanOrEqual(3);
  });

  it('lets one of two pushes win, and tells the other', async () => {
    const bucket = await bucketWith(OLD);
    const parcels = [
      await parcelOf(NEW, '2', '250 - image', 'race-0'),
      await parcelOf(NEW, '2', '249 - image', 'race-1'),
    ];
    const repository = await open(bucket);
    const done = await Promise.all(parcels.map((parcel) => repository.push(parcel, false)));
    expect(done.map(({ outcome }) => outcome).sort()).toEqual(['pushed', 'refused']);
    const winner = done.findIndex(({ outcome }) => outcome === 'pushed');
    expect((await contents(bucket))['repo/negative/2/model.py']).toBe(
      codeOf(winner === 0 ? '250 - image' : '249 - image'),
    );
    expect(await repository.versions('negative')).toMatchObject([
      { version: '1' },
      { version: '2', manifest: { version: '2' } },
    ]);
  });

  it('refuses what a server could see half of, and what would change a version', async () => {
    const open1 = configOf('negative', 'all {}');
    const bucket = await bucketWith(open1);
    const repository = await open(bucket);
    const refusalOf = async (config: string, version = '2', code = '248 - image') => {
      const outcome = await repository.push(await parcelOf(config, version, code, `refused-${Math.random()}`), false);
      return outcome.outcome === 'refused' ? outcome.reason : outcome.outcome;
    };
    const before = await contents(bucket);
    expect(await refusalOf(open1)).toContain('expected specific { versions');
    expect(await refusalOf(NEW)).toContain('first push one that names the existing versions');
    expect(await refusalOf(OLD, '1', '1 - image')).toContain('exists with other contents (model.py');
    expect(await contents(bucket)).toEqual(before);
    expect(await refusalOf(OLD, '1', NEGATE)).toBe('already there'); // with a configuration that names it
    expect(await refusalOf(configOf('negative', names(1, 2, 3)))).toContain('given 3 too');
    expect(await refusalOf(NEW.replace('string_value: "3"', 'string_value: "5"'))).toContain(
      'what version 1 promises (margin)',
    );
    expect(await refusalOf(NEW)).toBe('pushed');
    expect(await refusalOf(open1, '1', NEGATE)).toContain('expected specific');
  });
});
