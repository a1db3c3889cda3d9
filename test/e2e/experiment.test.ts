/** An experiment whose new version fails: what becomes of its jobs, and who stops it. */
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Completion } from '../../src/domain/completion.js';
import { createExperiment, type Experiment } from '../support/routes.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const OPERATIONS = 'imagen_experiment_operations_total';
const ARM = { model: 'failing', arm: 'worse/new' };

describe('an arm whose version fails', () => {
  let experiment: Experiment;
  let scene: Scene;
  let workers: readonly WorkerProcess[];
  let uri: string;
  let sent = 0;

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
  const stopped = () => sum('imagen_experiment_stopped', ARM);

  beforeAll(async () => {
    experiment = await createExperiment();
    await experiment.write(50, 50);
    scene = await createScene({ IMAGEN_ROUTES_FILE: experiment.path, IMAGEN_INFERENCE_ATTEMPTS: '1' });
    const picture = sharp({ create: { width: 32, height: 24, channels: 3, background: '#456' } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());
    workers = await Promise.all([scene.startWorker(), scene.startWorker()]);
  });
  beforeEach(() => workers.forEach(showOnFailure));
  afterAll(async () => {
    await scene.close();
    await experiment.remove();
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
    expect(await sum('imagen_fallbacks_total', { version: '2', ...ARM })).toBe(fallen.length);
    expect(await sum(OPERATIONS, { ...ARM, outcome: 'failed' })).toBe(fallen.length);

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
    const before = await sum(OPERATIONS, ARM);
    const steps = (await run(20)).flatMap((completion) => completion.steps ?? []);
    expect(steps.filter(({ arm }) => arm === 'new')).toEqual([]);
    expect(steps.filter(({ arm }) => arm === undefined).length).toBeGreaterThan(0);
    expect(steps.filter(({ arm }) => arm === 'usual').length).toBeGreaterThan(0);
    expect(await sum(OPERATIONS, ARM)).toBe(before);
  });

  it('stays stopped for a worker that begins', async () => {
    const third = await scene.startWorker();
    expect(await third.metric('imagen_experiment_stopped', ARM)).toBe(1);
    third.signal('SIGTERM');
    expect(await third.exit).toBe(0);
  });

  it('begins anew when its experiment is edited', async () => {
    await experiment.write(50, 60);
    await until(async () => (await stopped()) === 0, 10_000);
    const steps = (await run(10)).flatMap((completion) => completion.steps ?? []);
    expect(steps.filter(({ fallbackFrom }) => fallbackFrom === '2').length).toBeGreaterThan(0);
  });
});
