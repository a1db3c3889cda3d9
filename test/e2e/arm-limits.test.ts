/** Arms whose version hangs, is slow or answers black: what becomes of their jobs, and that each is stopped. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GuardLimits } from '../../src/domain/experiment.js';
import { runProgram } from '../support/program.js';
import { createRoutesFile } from '../support/routes.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const CLI = new URL('../../dist/main.js', import.meta.url).pathname;
const ARMS = new URL('../fixtures/models/arms', import.meta.url).pathname;
const GUARD = { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60 };

describe('an arm', () => {
  let routes: Awaited<ReturnType<typeof createRoutesFile>>;
  let scene: Scene;
  let worker: WorkerProcess;
  let uri: string;
  let sent = 0;

  const watched = (name: string) =>
    fetch(`http://127.0.0.1:${worker.port}/metrics`)
      .then((answer) => answer.text())
      .then((text) => text.includes(`imagen_experiment_stopped{model="arms",arm="${name}/new"`));
  const stopped = (name: string, reason: string) =>
    worker.metric('imagen_experiment_stopped', { model: 'arms', arm: `${name}/new`, reason });

  /** Gives a version a share of the jobs of `arms`, and waits until the worker knows. */
  async function experiment(name: string, version: string, usual: number, limits: Partial<GuardLimits> = {}) {
    const arms = [
      { name: 'usual', version: '1', weight: usual },
      { name: 'new', version, weight: 1 },
    ];
    await routes.write({ arms: { default: '1', experiment: { name, arms, guard: { ...GUARD, ...limits } } } });
    await until(() => watched(name), 10_000);
  }

  async function run(count: number, operation = 'arms') {
    const ids = Array.from({ length: count }, () => `job-${++sent}`);
    await Promise.all(ids.map((jobId) => scene.publish({ jobId, operations: [operation], input: { uri } })));
    const published = await Promise.all(ids.map((jobId) => scene.completions(1, jobId)));
    const completions = published.flat().map(({ completion }) => completion);
    expect(completions.map(({ status, attempt }) => [status, attempt])).toEqual(ids.map(() => ['succeeded', 1]));
    return completions.flatMap(({ steps }) => steps ?? []);
  }

  async function decision(name: string): Promise<unknown> {
    const [[file = expect.fail(), ...others]] = await scene.state.getFiles({ prefix: `records/experiments/${name}~` });
    expect(others).toEqual([]);
    return JSON.parse((await file.download()).toString());
  }

  beforeAll(async () => {
    routes = await createRoutesFile();
    await routes.write({});
    scene = await createScene({ IMAGEN_ROUTES_FILE: routes.path });
    const rgb = Buffer.from(Array.from({ length: 64 * 48 * 3 }, (_, i) => (i * 7) % 256));
    const picture = sharp(rgb, { raw: { width: 64, height: 48, channels: 3 } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());
    worker = await scene.startWorker();
  });
  beforeEach(() => showOnFailure(worker));
  afterAll(async () => {
    await scene.close();
    await routes.remove();
  });

  it('that answers black is fallen back from, and stopped', async () => {
    await experiment('black', '2', 0);
    const steps = await run(8);
    expect(new Set(steps.map(({ servedVersion }) => servedVersion))).toEqual(new Set(['1']));
    expect(steps.filter(({ fallbackFrom }) => fallbackFrom === '2').length).toBeGreaterThanOrEqual(4);
    expect(await stopped('black', 'failures')).toBe(1);
    const error = expect.stringMatching(/^MODEL_OUTPUT_INVALID: .*one colour, #000000/) as string;
    expect(await decision('black')).toMatchObject({ reason: 'failures', slow: 0, error });
    const shown = await runProgram(process.execPath, [CLI, 'routes', 'show'], { ...process.env, ...scene.env });
    expect(shown.stdout).toMatch(
      / usual: version 1, 0 %\n +new: version 2, 100 %, stopped by the guard at \S+ \(failures\)/,
    );
    const folder = await mkdtemp(join(tmpdir(), 'imagen-arms-'));
    const model = join(folder, 'arms');
    await cp(join(ARMS, '2'), join(model, '2'), { recursive: true });
    await cp(join(ARMS, 'config.pbtxt'), join(model, 'config.pbtxt'));
    const args = [CLI, 'models', 'check', model, '--triton'];
    const checked = await runProgram(process.execPath, args, { ...process.env, ...scene.env });
    await rm(folder, { recursive: true });
    expect(checked.stdout).toContain(
      'arms/2/: plan whole: expected an answer of image as the contract says, given one colour',
    );
  });

  it('that hangs is fallen back from after `maxSeconds`, and stopped, without a suspect or an attempt', async () => {
    await experiment('hangs', '3', 0, { maxSeconds: 1 });
    const [steps, neighbours] = await Promise.all([run(24), run(4, 'echo')]);
    expect(new Set(steps.map(({ servedVersion }) => servedVersion))).toEqual(new Set(['1']));
    expect(steps.filter(({ fallbackFrom }) => fallbackFrom === '3').length).toBeGreaterThanOrEqual(4);
    expect(neighbours).toHaveLength(4);
    expect(await stopped('hangs', 'slow')).toBe(1);
    expect(await decision('hangs')).toMatchObject({ reason: 'slow', operations: 4, failures: 4, slow: 4 });
    expect(worker.log()).toMatch(/"severity":"ERROR".*an arm is too slow and is stopped/);
    expect(await worker.metric('imagen_deferred_total')).toBe(0);
    expect((await run(4)).filter(({ arm }) => arm !== undefined)).toEqual([]);
  });

  it('that takes ten times as long is stopped by `maxLatencyRatio`, and no operation is done twice', async () => {
    await experiment('slow', '4', 1, { maxLatencyRatio: 3 });
    const steps = [...(await run(24)), ...(await run(24))];
    expect(steps.filter(({ fallbackFrom }) => fallbackFrom !== undefined)).toEqual([]);
    expect(steps.filter(({ servedVersion }) => servedVersion === '4').length).toBeGreaterThanOrEqual(4);
    await until(async () => (await stopped('slow', 'slow')) === 1, 5_000);
    const { latencyRatio } = (await decision('slow')) as { latencyRatio: number };
    expect(latencyRatio).toBeGreaterThanOrEqual(3);
    expect(await stopped('slow', 'failures')).toBe(0);
  });
});
