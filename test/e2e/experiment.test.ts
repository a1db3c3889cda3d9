/** An experiment whose new version fails: what becomes of its jobs, and who stops it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Completion } from '../../src/domain/completion.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const OPERATIONS = { name: 'imagen_experiment_operations_total', arm: { arm: 'worse/new' } };

describe('an arm whose version fails', () => {
  let folder: string;
  let scene: Scene;
  let workers: readonly WorkerProcess[];
  let uri: string;
  let sent = 0;

  const writeRoutes = (weight: number) =>
    writeFile(
      join(folder, 'routes.json'),
      JSON.stringify({
        models: {
          failing: {
            default: '1',
            experiment: {
              name: 'worse',
              arms: [
                { name: 'usual', version: '1', weight: 50 },
                { name: 'new', version: '2', weight },
              ],
              guard: { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60 },
            },
          },
        },
      }),
    );

  async function run(count: number): Promise<Completion[]> {
    const ids = Array.from({ length: count }, () => `job-${++sent}`);
    const before = scene.published.length;
    await Promise.all(ids.map((jobId) => scene.publish({ jobId, operations: ['failing'], input: { uri } })));
    await scene.completions(before + count);
    return scene.published.slice(before).map(({ completion }) => completion);
  }

  const decisions = async () => {
    const [files] = await scene.state.getFiles({ prefix: 'records/experiments/' });
    return files;
  };
  /** Summed over the workers. */
  const sum = async (name: string, labels: Readonly<Record<string, string>>) =>
    (await Promise.all(workers.map((worker) => worker.metric(name, labels)))).reduce((a, b) => a + b);
  const stopped = () => sum('imagen_experiment_stopped', { model: 'failing', ...OPERATIONS.arm });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagen-routes-'));
    await writeRoutes(50);
    scene = await createScene({ IMAGEN_ROUTES_FILE: join(folder, 'routes.json'), IMAGEN_INFERENCE_ATTEMPTS: '1' });
    const picture = sharp({ create: { width: 32, height: 24, channels: 3, background: '#456' } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());
    workers = await Promise.all([scene.startWorker(), scene.startWorker()]);
  });
  beforeEach(() => workers.forEach(showOnFailure));
  afterAll(async () => {
    await scene.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('fails no job, and is stopped once for all workers', async () => {
    expect(await stopped()).toBe(0);
    const completions = await run(30);
    expect(completions.map(({ status }) => status)).toEqual(completions.map(() => 'succeeded'));
    const steps = completions.flatMap((completion) => completion.steps ?? []);
    expect(new Set(steps.map(({ servedVersion }) => servedVersion))).toEqual(new Set(['1']));
    expect(steps).toContainEqual(expect.objectContaining({ experiment: 'worse', arm: 'usual' }));
    const fallen = steps.filter(({ fallbackFrom }) => fallbackFrom !== undefined);
    expect(fallen.length).toBeGreaterThanOrEqual(4);
    for (const step of fallen) expect(step).toMatchObject({ experiment: 'worse', arm: 'new', fallbackFrom: '2' });
    expect(await sum('imagen_fallbacks_total', { version: '2', ...OPERATIONS.arm })).toBe(fallen.length);
    expect(await sum(OPERATIONS.name, { ...OPERATIONS.arm, outcome: 'failed' })).toBe(fallen.length);

    await until(async () => (await stopped()) === 2, 10_000);
    const [file = expect.fail(), ...others] = await decisions();
    expect(others).toEqual([]);
    const [bytes] = await file.download();
    expect(JSON.parse(bytes.toString())).toMatchObject({
      ...{ experiment: 'worse', model: 'failing', arm: 'new', version: '2' },
    });
    const told = workers.map((worker) => worker.log());
    expect(told.filter((log) => /"severity":"ERROR".*is stopped/.test(log)).length).toBeGreaterThanOrEqual(1);
  });

  it('gets no more jobs: all go to the default version, those of the arm in no arm', async () => {
    const before = await sum(OPERATIONS.name, OPERATIONS.arm);
    const steps = (await run(20)).flatMap((completion) => completion.steps ?? []);
    expect(steps.filter(({ arm }) => arm === 'new')).toEqual([]);
    expect(steps.filter(({ arm }) => arm === undefined).length).toBeGreaterThan(0);
    expect(steps.filter(({ arm }) => arm === 'usual').length).toBeGreaterThan(0);
    expect(await sum(OPERATIONS.name, OPERATIONS.arm)).toBe(before);
  });

  it('stays stopped for a worker that begins', async () => {
    const third = await scene.startWorker();
    expect(await third.metric('imagen_experiment_stopped', OPERATIONS.arm)).toBe(1);
    third.signal('SIGTERM');
    expect(await third.exit).toBe(0);
  });

  it('begins anew when its experiment is edited', async () => {
    await writeRoutes(60);
    await until(async () => (await stopped()) === 0, 10_000);
    const steps = (await run(10)).flatMap((completion) => completion.steps ?? []);
    expect(steps.filter(({ fallbackFrom }) => fallbackFrom === '2').length).toBeGreaterThan(0);
  });
});
