/** Shadows on the real parts: what they find, that nobody is told of them, and that they cost jobs nothing. */
import { randomBytes } from 'node:crypto';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RoutesDocument } from '../../src/domain/routes.js';
import { decodeFile } from '../support/decode.js';
import { runProgram } from '../support/program.js';
import { createRoutesFile } from '../support/routes.js';
import { CLI, createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

/** Of the subscriptions. */
const ACK_DEADLINE_MS = 10_000;
/** Of the model `arms`: 1 gives the picture back, 3 hangs, 5 adds three levels. */
const [HANGS, LIGHTER] = ['3', '5'];

interface Report {
  readonly groups: readonly Readonly<Record<string, unknown>>[];
  readonly worst: readonly { readonly jobId: string; readonly pictures: { job: string; shadow: string } }[];
}

describe('a shadow', () => {
  const bucket = `shadows-${randomBytes(4).toString('hex')}`;
  let routes: Awaited<ReturnType<typeof createRoutesFile>>;
  let scene: Scene;
  let uri: string;
  let sent = 0;

  /** Starts a worker by these routes. */
  async function startWith(
    models: RoutesDocument['models'],
    more: Record<string, string> = {},
  ): Promise<WorkerProcess> {
    await routes.write(models);
    const worker = await scene.startWorker(more);
    showOnFailure(worker);
    return worker;
  }

  /** @returns the completions, each of a job that has succeeded at its first attempt */
  async function run(count: number, operation = 'arms') {
    const ids = Array.from({ length: count }, () => `job-${++sent}`);
    await Promise.all(ids.map((jobId) => scene.publish({ jobId, operations: [operation], input: { uri } })));
    const published = await Promise.all(ids.map((jobId) => scene.completions(1, jobId)));
    const completions = published.flat().map(({ completion }) => completion);
    expect(completions.map(({ status, attempt }) => [status, attempt])).toEqual(ids.map(() => ['succeeded', 1]));
    return completions;
  }

  const ended = (worker: WorkerProcess, labels: Readonly<Record<string, string>>) =>
    worker.metric('imagen_shadows_total', labels);
  const inProgress = (worker: WorkerProcess) =>
    until(async () => (await worker.metric('imagen_shadows_active')) === 1, 30_000);
  const reportOf = async (...args: string[]) => {
    const { code, stdout, stderr } = await scene.imagen('shadow', 'report', '--json', ...args);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout) as Report;
  };
  const pictureAt = async (address: string) => {
    const [, place = '', name = ''] = /^gs:\/\/([^/]+)\/(.+)$/.exec(address) ?? [];
    const [bytes] = await scene.storage.bucket(place).file(name).download();
    return (await decodeFile(bytes, { maxPixels: 1_000_000 })).raster.rgb;
  };
  const namesIn = async (place: string) => {
    const [files] = await scene.storage.bucket(place).getFiles();
    return files.map(({ name }) => name);
  };

  beforeAll(async () => {
    routes = await createRoutesFile();
    await routes.write({});
    const more = { IMAGEN_ROUTES_FILE: routes.path, IMAGEN_SHADOW_PREFIX: `gs://${bucket}/kept` };
    scene = await createScene(more);
    // Below 252, so that three levels more are three.
    const rgb = Buffer.from(Array.from({ length: 64 * 48 * 3 }, (_, i) => (i * 7) % 250));
    uri = await scene.upload(
      'a.png',
      await sharp(rgb, { raw: { width: 64, height: 48, channels: 3 } })
        .png()
        .toBuffer(),
    );
  });
  afterEach(() => scene.stopWorkers());
  afterAll(async () => {
    await scene.close();
    await routes.remove();
  });

  it('that the command line starts is reported right to the level, with both pictures', async () => {
    const worker = await startWith({ arms: { default: '1' } });
    const started = await scene.imagen('shadow', 'start', 'arms', LIGHTER, '--share', '100');
    expect(started, started.stderr).toMatchObject({ code: 0 });
    expect(started.stdout).toContain('version 5 does 100 % of the jobs of arms once more');
    expect((await scene.imagen('routes', 'show')).stdout).toContain('shadow: version 5, of 100 % of the jobs');
    const known = () => fetch(`http://127.0.0.1:${worker.port}/metrics`).then((answer) => answer.text());
    await until(async () => (await known()).includes('imagen_shadows_total{model="arms",version="5"'), 10_000);

    const completions = await run(6);
    await until(async () => (await ended(worker, { version: LIGHTER, result: 'compared' })) === 6, 20_000);
    const { groups, worst } = await reportOf();
    expect(groups).toEqual([
      {
        ...{ model: 'arms', version: LIGHTER, servedVersion: '1', compared: 6, sizeDiffers: 0, failed: 0, codes: {} },
        ...{ levels: { mean: 3, p95: 3 }, maxLevels: 3, shareAbove8: 0 },
        similarity: { mean: expect.closeTo(0.9998, 3) as number, min: expect.closeTo(0.9998, 3) as number },
        timeRatio: expect.any(Number) as number,
      },
    ]);
    expect(worst).toHaveLength(5);
    for (const { jobId, pictures } of worst) {
      const own = completions.find((completion) => completion.jobId === jobId);
      expect(pictures.job).toBe(own?.output?.uri);
      const [job, shadow] = [await pictureAt(pictures.job), await pictureAt(pictures.shadow)];
      expect([...shadow]).toEqual([...job].map((level) => level + 3));
    }
    expect((await scene.imagen('shadow', 'report', '--model', 'arms')).stdout).toMatch(
      /arms +5 +1 +6 +0 +0 +3\.00 +3\.00 +3 /,
    );
    expect((await scene.imagen('shadow', 'report', '--model', 'echo')).stdout).toBe('');

    // Nobody is told: each job has one completion, one record and one result, and they name the version that served.
    expect(scene.published).toHaveLength(6);
    expect(completions.flatMap(({ steps = [] }) => steps.map((step) => step.servedVersion))).toEqual(
      Array(6).fill('1'),
    );
    expect((await namesIn(`results-${scene.id}`)).length).toBe(6);
    expect((await namesIn(`state-${scene.id}`)).filter((name) => name.endsWith('.json'))).toHaveLength(6);
    expect(await namesIn(bucket)).toHaveLength(12);

    expect((await scene.imagen('shadow', 'stop', 'arms')).stdout).toContain('arms has no shadow any more');
    expect((await scene.imagen('shadow', 'stop', 'arms')).code).toBe(1);
  });

  it('has a place for its pictures, or the worker does not start', async () => {
    await routes.write({ arms: { default: '1', shadow: { version: LIGHTER, share: 1 } } });
    const { code, stderr } = await runProgram(process.execPath, [CLI, 'worker'], {
      ...scene.env,
      IMAGEN_SHADOW_PREFIX: '',
    });
    expect(stderr).toMatch(/IMAGEN_SHADOW_PREFIX: expected gs:.*since the routes name a shadow of arms/);
    expect(code).toBe(2);
  });

  it('leaves its job as it was when the worker is killed in its middle', async () => {
    const worker = await startWith({ arms: { default: '1', shadow: { version: HANGS, share: 1 } } });
    const [completion] = await run(1);
    await inProgress(worker);
    worker.signal('SIGKILL');
    await worker.exit;
    const killedAt = Date.now();
    const successor = await startWith({ arms: { default: '1' } });
    await until(() => Date.now() - killedAt > ACK_DEADLINE_MS, 2 * ACK_DEADLINE_MS); // what was not acked has come again
    await run(1);
    expect(await successor.metric('imagen_deliveries_total')).toBe(1);
    expect(await scene.completions(1, completion?.jobId)).toHaveLength(1);
    expect((await namesIn(bucket)).filter((name) => name.includes(`/${completion?.jobId}/`))).toEqual([]);
  }, 60_000);

  it('is dropped as soon as a job waits for a place, and none begins until the load is over', async () => {
    const worker = await startWith(
      { arms: { default: '1', shadow: { version: HANGS, share: 1 } } },
      { IMAGEN_MAX_JOBS: '2', LOG_LEVEL: 'debug' },
    );
    await run(1);
    await inProgress(worker);
    const [before] = await run(80);
    expect(before).toBeDefined();
    expect(await ended(worker, { result: 'dropped', reason: 'busy' })).toBe(1);
    expect(await ended(worker, { result: 'dropped', reason: 'full' })).toBeGreaterThanOrEqual(80 - 64 - 1);
    expect(await ended(worker, { result: 'failed' })).toBe(0);
    expect(worker.log()).toMatch(/"reason":"busy".*"shadow dropped"/);
    expect(await worker.metric('imagen_shadows_waiting')).toBeGreaterThan(0);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
    expect(worker.log()).toMatch(/"reason":"stopping".*"shadow dropped"/);
  });

  it('whose version hangs or fails harms no job', async () => {
    const arms = [
      { name: 'usual', version: '1', weight: 1 },
      { name: 'new', version: LIGHTER, weight: 1 },
    ];
    const guard = { maxFailureRatio: 0.01, minOperations: 1, windowSeconds: 60 };
    const worker = await startWith(
      {
        arms: { default: '1', experiment: { name: 'e', arms, guard }, shadow: { version: HANGS, share: 1 } },
        failing: { default: '1', shadow: { version: '2', share: 1 } },
      },
      // Ten jobs one after the other take less, also on a busy machine.
      { IMAGEN_INFERENCE_TIMEOUT_SECONDS: '12', IMAGEN_INFERENCE_ATTEMPTS: '1' },
    );
    await run(1, 'failing');
    await until(async () => (await ended(worker, { model: 'failing', reason: 'INFERENCE_FAILED' })) === 1, 10_000);
    await run(1);
    await inProgress(worker);
    for (let i = 0; i < 10; i++) {
      const [own] = await run(1);
      expect(own?.timingsMs?.total).toBeLessThan(2_000);
    }
    expect(await ended(worker, { model: 'arms' })).toBe(0); // the first hangs still
    await until(async () => (await ended(worker, { model: 'arms', reason: 'EXECUTION_TIMEOUT' })) >= 1, 20_000);
    await run(4);
    await run(1, 'failing');
    await until(async () => (await ended(worker, { model: 'arms', reason: 'resting' })) >= 1, 10_000);

    expect(await worker.metric('imagen_deferred_total')).toBe(0);
    expect(await worker.metric('imagen_model_circuit_open')).toBe(0);
    expect(await worker.metric('imagen_replica_failing')).toBe(0);
    expect(await worker.metric('imagen_experiment_stopped')).toBe(0);
    expect(await worker.metric('imagen_experiment_operations_total', { outcome: 'failed' })).toBe(0);
    const { groups } = await reportOf('--model', 'failing');
    expect(groups).toMatchObject([{ model: 'failing', version: '2', compared: 0, levels: null, timeRatio: null }]);
    expect(groups[0]?.codes).toHaveProperty('INFERENCE_FAILED');
  }, 60_000);
});
