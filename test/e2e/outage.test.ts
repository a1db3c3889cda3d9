import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Completion } from '../../src/domain/completion.js';
import { OwnTriton } from '../support/own-triton.js';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const endOfJob = ({ status, attempt, error }: Completion) =>
  [status, attempt, error?.code, error?.message].filter((part) => part !== undefined).join(' ');

describe('a worker whose models go away', () => {
  const triton = new OwnTriton('outage');
  let scene: Scene;
  let uri: string;

  beforeAll(async () => {
    await triton.start();
    scene = await createScene({ TRITON_URL: triton.url, IMAGEN_MAX_JOBS: '4', IMAGEN_MODEL_WAIT_SECONDS: '2' });
    const picture = sharp({ create: { width: 48, height: 48, channels: 3, background: '#456' } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());
  });
  // A worker that a failed test has left would take the next one's jobs.
  afterEach(() => scene.stopWorkers());
  afterAll(async () => {
    await scene.close();
    await triton.down();
  });

  it('lets the jobs of an unloaded model stand aside, puts back what is too much, and does all when it is back', async () => {
    const worker = await scene.startWorker();
    showOnFailure(worker);
    await triton.unload('echo');
    const echoes = Array.from({ length: 8 }, (_, i) => `echo-${i}`);
    for (const jobId of echoes) await scene.publish({ jobId, operations: ['style_aged', 'echo'], input: { uri } });
    await until(async () => (await worker.metric('imagen_jobs_parked')) >= 2, 15_000, worker.log);
    await until(async () => (await worker.metric('imagen_deferred_total')) >= 3, 15_000, worker.log);
    // None of them holds a place, and jobs of the others pass.
    await scene.publish({ jobId: 'other', operations: ['style_aged'], input: { uri } });
    expect((await scene.completions(1, 'other'))[0]?.completion.status).toBe('succeeded');
    expect(scene.published).toHaveLength(1);
    expect(await worker.metric('imagen_model_ready', { model: 'echo' })).toBe(0);

    await triton.load('echo');
    const ended = (await scene.completions(9)).map(({ completion }) => completion);
    expect(ended.map(({ status }) => status)).toEqual(Array(9).fill('succeeded'));
    expect(ended.map(({ attempt }) => attempt)).toEqual(Array(9).fill(1));
    expect(await worker.metric('imagen_given_back_total')).toBe(0);
    expect(await worker.metric('imagen_jobs_parked')).toBe(0);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it('burns no attempt while Triton is gone, and goes on when it is back', async () => {
    const worker = await scene.startWorker();
    showOnFailure(worker);
    const before = scene.published.length;
    triton.kill();
    // Their time limits pass while they wait for Triton, and end none of them.
    const job = { operations: ['echo'], input: { uri }, timeoutSeconds: 2 };
    for (let i = 0; i < 8; i++) await scene.publish({ ...job, jobId: `gone-${i}` });
    await until(async () => (await worker.metric('imagen_model_circuit_open')) === 1, 15_000, worker.log);
    await until(async () => (await worker.metric('imagen_jobs_parked')) >= 2, 15_000, worker.log);
    await until(async () => (await worker.metric('imagen_triton_ready')) === 0, 10_000, worker.log);
    expect(
      await worker.metric('imagen_triton_errors_total', { model: 'echo', code: 'MODEL_UNAVAILABLE' }),
    ).toBeGreaterThan(0);
    await triton.start();
    const ended = (await scene.completions(before + 8)).slice(before).map(({ completion }) => completion);
    expect(ended.map(endOfJob)).toEqual(Array(8).fill('succeeded 1'));
    await until(async () => (await worker.metric('imagen_model_circuit_open')) === 0, 5_000);
    await until(async () => (await worker.metric('imagen_triton_ready')) === 1, 8_000);
    expect(worker.log().match(/"Triton is away"/g)).toHaveLength(1);
    expect(worker.log().match(/"Triton is back"/g)).toHaveLength(1);
    expect(await worker.metric('imagen_given_back_total')).toBe(0);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it('ends no job by its time limit while Triton does not answer', async () => {
    const worker = await scene.startWorker({ IMAGEN_MAX_JOBS: '8' });
    showOnFailure(worker);
    const before = scene.published.length;
    await triton.hang();
    const job = { operations: ['echo'], input: { uri }, timeoutSeconds: 1 };
    for (let i = 0; i < 4; i++) await scene.publish({ ...job, jobId: `silent-${i}` });
    await until(async () => (await worker.metric('imagen_jobs_parked')) === 4, 30_000, worker.log);
    triton.goOn();
    const ended = (await scene.completions(before + 4)).slice(before).map(({ completion }) => completion);
    expect(ended.map(endOfJob)).toEqual(Array(4).fill('succeeded 1'));
    // A model that takes too long is no outage.
    const slow = { model: 'sleep', parameters: { ms: 5_000 } };
    await scene.publish({ ...job, jobId: 'slow', operations: [slow] });
    const [{ completion } = expect.fail()] = await scene.completions(1, 'slow');
    expect(completion).toMatchObject({ status: 'failed', error: { code: 'EXECUTION_TIMEOUT', stage: 'infer' } });
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it('ends no job by its time limit while the worker itself is stopped', async () => {
    const worker = await scene.startWorker({ IMAGEN_MAX_JOBS: '8' });
    showOnFailure(worker);
    const before = scene.published.length;
    const slow = { model: 'sleep', parameters: { ms: 300 } };
    const job = { operations: [slow], input: { uri }, timeoutSeconds: 3 };
    for (let i = 0; i < 4; i++) await scene.publish({ ...job, jobId: `frozen-${i}` });
    await until(async () => (await worker.metric('imagen_inference_in_flight')) > 0, 15_000, worker.log);
    worker.signal('SIGSTOP');
    const stoppedAt = Date.now();
    await until(() => Date.now() - stoppedAt > 5_000, 10_000);
    worker.signal('SIGCONT');
    const ended = (await scene.completions(before + 4)).slice(before).map(({ completion }) => completion);
    expect(ended.map(({ status, error }) => `${status} ${error?.code ?? ''}`)).toEqual(Array(4).fill('succeeded '));
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it('does all jobs of a model whose process is killed under them, and says where it failed', async () => {
    const worker = await scene.startWorker();
    showOnFailure(worker);
    const before = scene.published.length;
    const slow = { model: 'mortal', parameters: { ms: 300 } };
    for (let i = 0; i < 8; i++) await scene.publish({ jobId: `mortal-${i}`, operations: [slow], input: { uri } });
    await until(
      async () => (await worker.metric('imagen_inference_in_flight', { model: 'mortal' })) > 0,
      15_000,
      worker.log,
    );
    triton.killModel('mortal');
    await until(
      async () => (await worker.metric('imagen_replica_failing', { model: 'mortal' })) === 1,
      15_000,
      worker.log,
    );
    // The server's watchdog brings it back.
    const ended = (await scene.completions(before + 8)).slice(before).map(({ completion }) => completion);
    expect(ended.map(({ status }) => status)).toEqual(Array(8).fill('succeeded'));
    await until(async () => (await worker.metric('imagen_replica_failing')) === 0, 15_000, worker.log);
    expect(worker.log()).toContain(`mortal/1 at ${triton.url}`);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it.each([1, 2])(
    'ends no job by a limit of %d s while the process of its model is dead',
    async (timeoutSeconds) => {
      const worker = await scene.startWorker();
      showOnFailure(worker);
      const before = scene.published.length;
      // All eight together take a tenth of the shorter limit, however they come back.
      const job = { operations: [{ model: 'mortal', parameters: { ms: 10 } }], input: { uri }, timeoutSeconds };
      await scene.publish({ ...job, jobId: `short-${timeoutSeconds}-first` });
      await scene.completions(before + 1);
      triton.killModel('mortal');
      for (let i = 0; i < 8; i++) await scene.publish({ ...job, jobId: `short-${timeoutSeconds}-${i}` });
      // The server's watchdog brings it back.
      const ended = (await scene.completions(before + 9, undefined, 60_000)).slice(before);
      expect(ended.map(({ completion }) => completion).filter(({ status }) => status !== 'succeeded')).toEqual([]);
      worker.signal('SIGTERM');
      expect(await worker.exit).toBe(0);
    },
    120_000,
  );

  it.each([
    ['hangs its model', { ms: 5_000 }],
    ['ends the whole server', { how: 'end' }],
  ])(
    'ends a job that %s each time, after its attempts, and does all others',
    async (what, parameters) => {
      // Another worker's bad request may be charged to a good one now and then (decision 18), but hardly three times.
      const env = { IMAGEN_INFERENCE_TIMEOUT_SECONDS: '2', IMAGEN_MAX_ATTEMPTS: '3' };
      const workers = await Promise.all([scene.startWorker(env), scene.startWorker(env)]);
      workers.forEach(showOnFailure);
      const name = (index: string | number) => `${what.replaceAll(' ', '-')}-${index}`;
      const job = (jobId: string, how: object) => ({
        ...{ jobId, input: { uri }, operations: [{ model: 'mortal', parameters: how }] },
      });
      const endOf = (jobId: string) => scene.published.find(({ completion }) => completion.jobId === jobId)?.completion;
      await scene.publish(job(name('bad'), parameters));
      const good: string[] = [];
      await until(
        async () => {
          const open = good.filter((jobId) => endOf(jobId) === undefined);
          if (open.length < 6) {
            const jobId = name(good.length);
            good.push(jobId);
            await scene.publish(job(jobId, { ms: 20 }));
          }
          await triton.revive();
          return endOf(name('bad')) !== undefined;
        },
        150_000,
        () => workers.map((worker) => worker.log()).join('\n'),
      );
      expect(endOf(name('bad'))).toMatchObject({
        status: 'failed',
        error: {
          code: 'RETRIES_EXHAUSTED',
          message: expect.stringContaining('after 3 attempts: MODEL_UNAVAILABLE') as string,
        },
      });
      await until(() => good.every((jobId) => endOf(jobId) !== undefined), 60_000);
      expect(good.filter((jobId) => endOf(jobId)?.status !== 'succeeded')).toEqual([]);
      for (const worker of workers) worker.signal('SIGTERM');
      expect(await Promise.all(workers.map((worker) => worker.exit))).toEqual([0, 0]);
    },
    240_000,
  );

  it('ends a job that is canceled while it is in work', async () => {
    const worker = await scene.startWorker();
    showOnFailure(worker);
    const slow = { model: 'sleep', parameters: { ms: 30_000 } };
    await scene.publish({ jobId: 'unwanted', operations: [slow], input: { uri } });
    await until(async () => (await worker.metric('imagen_inference_in_flight')) > 0, 15_000, worker.log);
    expect((await scene.imagen('cancel', 'unwanted', '--force')).code).toBe(0);
    const [{ completion } = expect.fail()] = await scene.completions(1, 'unwanted', 12_000);
    expect(completion.status).toBe('canceled');
  });
});
