/**
 * The ML engineer's day under load: versions are pushed, loaded, tried in the shadow and as a canary, promoted and taken back,
 * and models are reloaded, while two workers do jobs on two Tritons with one repository. `IMAGEN_TEST_SHIP=full` does it as
 * long as a day's work: 5 versions and 20 reloads.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ShadowSummary } from '../../src/shadow/summary.js';
import { LOCAL_ADMIN_KEY } from '../../scripts/dev/stack/env.js';
import { localDir } from '../../scripts/dev/stack/paths.js';
import { type Stack, upStack } from '../../scripts/dev/stack/up.js';
import { codeOf, configOf, writeModel } from '../support/model-folders.js';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const [VERSIONS, RELOADS] = process.env.IMAGEN_TEST_SHIP === 'full' ? [5, 20] : [2, 2];
const MODEL = 'shipped';
const SHARE = '20';
/** Workers look for new routes this often, in milliseconds, and a little longer under load. */
const ROUTES_ARE_NEW_MS = 10_000;
/** Jobs of one burst, and the pause between two bursts, so that shadows find spare capacity. */
const BURST = 6;
const PAUSE_MS = 400;

let folder: string;
let repository: string;
let tritons: readonly Stack[] = [];
let scene: Scene;
beforeAll(async () => {
  await mkdir(localDir, { recursive: true });
  folder = await mkdtemp(join(localDir, 'test-ship-'));
  repository = join(folder, 'repository');
  await mkdir(repository);
  const start = (name: string) =>
    upStack({
      ...{ dir: join(folder, name), ports: 'free' as const, parts: ['triton' as const], models: ['style_aged'] },
      modelRepositories: [{ folder: repository }],
    });
  tritons = [await start('one'), await start('two')];
  await writeFile(join(folder, 'routes.json'), JSON.stringify({ models: {} }));
  scene = await createScene({
    TRITON_URL: `ipv4:${tritons.map(({ ports }) => `127.0.0.1:${ports.tritonGrpc}`).join(',')}`,
    TRITON_ADMIN_KEY: LOCAL_ADMIN_KEY,
    IMAGEN_ROUTES_FILE: join(folder, 'routes.json'),
    IMAGEN_SHADOW_PREFIX: `gs://shadows-${process.pid}/`,
    IMAGEN_MAX_JOBS: '6',
  });
}, 120_000);
afterAll(async () => {
  await scene.close();
  for (const triton of tritons) await triton.down();
  await rm(folder, { recursive: true, force: true });
});

/** Which versions the routes have named, and since when. */
interface Named {
  readonly from: number;
  readonly versions: ReadonlySet<string>;
}

it(
  'fails and loses no job, and every completion names a version that the routes named then',
  async () => {
    const workers = [await scene.startWorker(), await scene.startWorker()];
    workers.forEach(showOnFailure);
    const must = async (...args: string[]) => {
      const done = await scene.imagen(...args);
      expect(done, `${args.join(' ')}\n${done.stdout}${done.stderr}`).toMatchObject({ code: 0 });
      return done.stdout;
    };
    const named: Named[] = [];
    const now = (...versions: string[]) => named.push({ from: Date.now(), versions: new Set(versions) });
    const push = async (version: number) => {
      const files = { [`${version}/model.py`]: codeOf(`image // 2 + ${version}`) };
      const own = await writeModel(join(folder, `own-${version}`), MODEL, configOf(MODEL, 'all {}'), files);
      await must('models', 'push', own, '--repository', repository, '--version', String(version));
      await must('models', 'load', MODEL, '--version', String(version));
    };
    await push(1);
    await must('models', 'promote', MODEL, '1');
    now('1');

    const noise = {
      create: {
        width: 64,
        height: 48,
        channels: 3,
        background: '#345',
        noise: { type: 'gaussian', mean: 120, sigma: 40 },
      },
    } as const;
    const uri = await scene.upload('a.png', await sharp(noise).png().toBuffer());
    const sentAt = new Map<string, number>();
    const stop = new AbortController();
    const load = (async () => {
      while (!stop.signal.aborted) {
        for (let i = 0; i < BURST; i++) {
          const jobId = `job-${sentAt.size}`;
          sentAt.set(jobId, Date.now());
          await scene.publish({ jobId, operations: [MODEL], input: { uri } });
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        await until(() => scene.published.length > sentAt.size - 4 * BURST, 60_000);
      }
    })();
    const endedAt = new Map<string, number>();
    const watch = setInterval(() => {
      for (const { completion } of scene.published) {
        const { jobId = '' } = completion;
        if (!endedAt.has(jobId)) endedAt.set(jobId, Date.now());
      }
    }, 20);
    const reloads = async (count: number) => {
      for (let i = 0; i < count; i++) await must('models', 'reload', MODEL);
    };

    try {
      for (let version = 2; version <= VERSIONS; version++) {
        const [before, next] = [String(version - 1), String(version)];
        await push(version);
        await must('shadow', 'start', MODEL, next, '--share', SHARE);
        await reloads(Math.ceil(RELOADS / (VERSIONS - 1) / 2));
        now(before, next);
        await must('models', 'promote', MODEL, next, '--share', SHARE);
        await must('models', 'promote', MODEL, next);
        now(next);
        await must('models', 'rollback', MODEL);
        now(before, next);
        await must('models', 'promote', MODEL, next);
        now(next);
        await reloads(Math.floor(RELOADS / (VERSIONS - 1) / 2));
      }
      stop.abort();
      await load;
      await scene.completions(sentAt.size, undefined, 60_000);
    } finally {
      stop.abort();
      clearInterval(watch);
    }

    const ends = scene.published.map(({ completion }) => completion);
    expect(ends.filter(({ status }) => status !== 'succeeded')).toEqual([]);
    expect(new Set(ends.map(({ jobId }) => jobId)).size).toBe(sentAt.size);
    const wrong = ends.filter(({ jobId = '', steps: [step] = [] }) => {
      const [sent, ended] = [(sentAt.get(jobId) ?? 0) - ROUTES_ARE_NEW_MS, endedAt.get(jobId) ?? Date.now()];
      const then = named.filter(({ from }, i) => from <= ended && (named[i + 1]?.from ?? Infinity) >= sent);
      return !then.some(({ versions }) => versions.has(step?.servedVersion ?? ''));
    });
    expect(wrong).toEqual([]);
    expect(new Set(ends.map(({ steps }) => steps?.[0]?.servedVersion)).size).toBeGreaterThan(1);

    // Version n adds n levels, so a shadow of the next one differs by exactly one.
    const { groups } = JSON.parse(await must('shadow', 'report', '--json')) as {
      readonly groups: readonly Pick<ShadowSummary, 'compared' | 'codes' | 'maxLevels'>[];
    };
    // A shadow is tried once: during a reload its version is not served, and the report says so.
    const codes = groups.flatMap((group) => Object.keys(group.codes));
    expect(codes.filter((code) => code !== 'MODEL_UNAVAILABLE')).toEqual([]);
    const compared = groups.filter((group) => group.compared > 0);
    expect(compared.map(({ maxLevels }) => maxLevels)).toEqual(compared.map(() => 1));
    expect(groups.reduce((sum, { compared }) => sum + compared, 0)).toBeGreaterThan(0);
    for (const worker of workers) worker.signal('SIGTERM');
    expect(await Promise.all(workers.map((worker) => worker.exit))).toEqual([0, 0]);
  },
  20 * 60_000,
);
