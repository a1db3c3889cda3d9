import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { generationsOf, type Lane, openLane, recorded } from '../support/lane.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const waitPoints = new URL('../support/wait-points.js', import.meta.url).pathname;
const SLOW = { model: 'sleep', parameters: { ms: 1500 } };

/** Several times the 10 s of a lease. */
const PATIENCE_MS = 40_000;

describe('of two that decide on one job, one does', () => {
  let scene: Scene;
  let waits: string;
  let uri: string;
  /** The first can be held after a step; the second cannot. */
  let first: WorkerProcess & Lane;
  let second: WorkerProcess & Lane;

  beforeAll(async () => {
    scene = await createScene();
    waits = await mkdtemp(join(tmpdir(), 'imagen-waits-'));
    const picture = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#456' } })
      .png()
      .toBuffer();
    uri = await scene.upload('a.png', picture);
    const onLane = async (name: string, env: Record<string, string>) => {
      const lane = await openLane(scene, name);
      return { ...lane, ...(await scene.startWorker({ ...env, IMAGEN_JOBS_SUBSCRIPTIONS: lane.subscription })) };
    };
    first = await onLane('first', { NODE_OPTIONS: `--import ${waitPoints}`, WAITS: waits });
    second = await onLane('second', {});
  });
  afterAll(async () => {
    await scene.close();
    await rm(waits, { recursive: true, force: true });
  });

  const job = (jobId: string, more: object = {}) => ({ jobId, operations: ['echo'], input: { uri }, ...more });
  const held = (jobId: string) => until(() => existsSync(join(waits, `${jobId}.waits`)), 10_000);
  const goOn = (jobId: string) => writeFile(join(waits, `${jobId}.goes-on`), '');

  /** All completions are the same, and what the record says. */
  async function oneOutcome(jobId: string, completions: number) {
    const all = await scene.completions(completions, jobId);
    expect(new Set(all.map(({ body }) => body)).size).toBe(1);
    const { completion } = all[0] ?? expect.fail();
    expect(await recorded(scene, jobId)).toEqual(completion);
    return completion;
  }

  it('when both have it in work', async () => {
    showOnFailure(first);
    const jobId = 'both';
    await Promise.all([first, second].map((worker) => worker.publish(job(jobId, { operations: [SLOW] }))));
    const active = async () => [await first.metric('imagen_jobs_active'), await second.metric('imagen_jobs_active')];
    await until(async () => (await active()).join() === '1,1', 5_000);
    const { status, output } = await oneOutcome(jobId, 2);
    expect(status).toBe('succeeded');
    expect(await generationsOf(scene, jobId)).toEqual([output?.generation]);
  });

  it('when one has stored its result and the other finds it', async () => {
    const jobId = 'stored-waits-after-store';
    await first.publish(job(jobId));
    await held(jobId);
    await second.publish(job(jobId));
    await scene.completions(1, jobId);
    await goOn(jobId);
    const { output } = await oneOutcome(jobId, 2);
    expect(await generationsOf(scene, jobId)).toEqual([output?.generation]);
  });

  it('when a cancellation comes before the record', async () => {
    const jobId = 'canceled-waits-after-store';
    await first.publish(job(jobId));
    await held(jobId);
    expect((await scene.imagen('cancel', jobId, '--force')).code).toBe(0);
    await goOn(jobId);
    expect((await oneOutcome(jobId, 1)).status).toBe('canceled');
  });

  it('when a cancellation comes after the record', async () => {
    const jobId = 'finished-waits-after-record';
    await first.publish(job(jobId));
    await held(jobId);
    expect(await scene.imagen('cancel', jobId, '--force')).toMatchObject({
      code: 1,
      stderr: `${jobId}: has ended already: succeeded\n`,
    });
    await goOn(jobId);
    expect((await oneOutcome(jobId, 1)).status).toBe('succeeded');
  });

  it.each([
    ['succeeded', 'store', true],
    ['expired', 'encode', false],
  ] as const)('when the deadline passes for one of them: %s (held after %s)', async (status, step, inTime) => {
    const jobId = `late-${status}-waits-after-${step}`;
    const deadline = Date.now() + 2_500;
    const late = job(jobId, { deadline: new Date(deadline).toISOString() });
    await first.publish(late);
    await held(jobId);
    if (inTime) {
      await second.publish(late);
      await scene.completions(1, jobId);
      expect(Date.now()).toBeLessThan(deadline);
    }
    await until(() => Date.now() > deadline + 100, 5_000);
    await goOn(jobId);
    expect((await oneOutcome(jobId, inTime ? 2 : 1)).status).toBe(status);
  });

  it('when one has lost its lease while it was stopped', { timeout: 2 * PATIENCE_MS }, async () => {
    const jobId = 'stopped';
    const lane = await openLane(scene, 'stopped');
    const proxy = await FaultProxy.before(scene.env.PUBSUB_EMULATOR_HOST);
    const slow = await scene.startWorker({
      ...{ IMAGEN_JOBS_SUBSCRIPTIONS: lane.subscription, PUBSUB_EMULATOR_HOST: proxy.address },
    });
    await lane.publish(job(jobId, { operations: [SLOW] }));
    await until(async () => (await slow.metric('imagen_jobs_active')) === 1, 5_000);
    slow.signal('SIGSTOP');
    const next = await scene.startWorker({ IMAGEN_JOBS_SUBSCRIPTIONS: lane.subscription });
    showOnFailure(next);
    // The one that is stopped does not notice. But the service does not send the message to it again, as chance might have it.
    proxy.reset();
    expect((await scene.completions(1, jobId, PATIENCE_MS))[0]?.completion.attempt).toBeGreaterThan(1);
    slow.signal('SIGCONT');
    const { status, output } = await oneOutcome(jobId, 2);
    expect(status).toBe('succeeded');
    expect(await generationsOf(scene, jobId)).toEqual([output?.generation]);
    proxy.close();
  });
});
