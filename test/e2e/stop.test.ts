import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

/** Longer than the 10 s after which a lost lease lets its message come again. */
const REDELIVERY_MS = 13_000;

/** How much later than the last job, or than the cap, a worker may end. */
const SLACK_MS = 1_000;

/** When the last job ended, by the worker's own log. */
function lastEnd(worker: WorkerProcess): number {
  const lines = worker.log().split('\n');
  const ends = lines
    .filter((line) => line.includes('"job ended"'))
    .map((line) => /"time":"([^"]+)"/.exec(line)?.[1] ?? '');
  return Math.max(...ends.map(Date.parse));
}

describe('SIGTERM', () => {
  let scene: Scene;
  let picture: Buffer;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MAX_JOBS: '4' });
    picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#654' } })
      .png()
      .toBuffer();
  });
  afterAll(() => scene.close());

  it('finishes the jobs in work, gives the others back unbegun, and exits with 0', async () => {
    const worker = await scene.startWorker();
    showOnFailure(worker);
    const uri = await scene.upload('a.png', picture);
    const slow = { model: 'sleep', parameters: { ms: 2000 } };
    for (let i = 0; i < 8; i++) await scene.publish({ jobId: `stop-${i}`, operations: [slow], input: { uri } });
    await until(async () => (await worker.metric('imagen_jobs_active')) === 4, 10_000);
    await until(async () => (await worker.metric('imagen_jobs_waiting')) > 0, 10_000);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
    expect(Date.now() - lastEnd(worker)).toBeLessThan(SLACK_MS);

    const finished = await scene.completions(4);
    expect(finished).toHaveLength(4);
    expect(finished.map(({ completion }) => completion.status)).toEqual(Array(4).fill('succeeded'));

    const next = await scene.startWorker();
    showOnFailure(next);
    await scene.completions(8);
    await new Promise((resolve) => setTimeout(resolve, REDELIVERY_MS));
    // Nothing that was finished has come again, to be worked on or to be answered from its record.
    expect(scene.published).toHaveLength(8);
    expect(await next.metric('imagen_replays_total')).toBe(0);
    next.signal('SIGTERM');
    expect(await next.exit).toBe(0);
  });

  it('ends a worker that is idle, or still waiting for its models, at once', async () => {
    const worker = await scene.startWorker();
    const startedAt = Date.now();
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
    expect(Date.now() - startedAt).toBeLessThan(4_000);
  });

  /** Starts a worker, brings it into trouble with its hands full, and tells it to stop. @returns after how long it ended */
  async function stopInTrouble(drainSeconds: number, trouble: 'triton' | 'pubsub'): Promise<number> {
    const own = await createScene({ IMAGEN_MAX_JOBS: '4', IMAGEN_DRAIN_SECONDS: String(drainSeconds) });
    const triton = await FaultProxy.before(own.env.TRITON_URL);
    const pubsub = await FaultProxy.before(own.env.PUBSUB_EMULATOR_HOST);
    try {
      const worker = await own.startWorker({ TRITON_URL: triton.address, PUBSUB_EMULATOR_HOST: pubsub.address });
      showOnFailure(worker);
      const uri = await own.upload('a.png', picture);
      triton.blackHole('swallow'); // jobs begin, and do not end
      for (let i = 0; i < 8; i++) await own.publish({ jobId: `stuck-${i}`, operations: ['echo'], input: { uri } });
      await until(async () => (await worker.metric('imagen_jobs_active')) === 4, 15_000);
      await until(async () => (await worker.metric('imagen_jobs_waiting')) > 0, 15_000);
      if (trouble === 'pubsub') pubsub.blackHole('swallow'); // nothing can be given back, and no connection ends well
      const begun = Date.now();
      worker.signal('SIGTERM');
      expect(await worker.exit).toBe(0);
      return Date.now() - begun;
    } finally {
      triton.close();
      pubsub.close();
      await own.close();
    }
  }

  it('never takes longer than its cap, with jobs that do not end and with connections that do not close', async () => {
    const [short, long, hanging] = await Promise.all([
      stopInTrouble(3, 'triton'),
      stopInTrouble(12, 'triton'),
      stopInTrouble(4, 'pubsub'),
    ]);
    expect(short).toBeLessThan(3_000 + SLACK_MS);
    expect(long).toBeLessThan(12_000 + SLACK_MS);
    expect(long).toBeGreaterThan(9_000); // it gives its jobs the time that they have
    expect(hanging).toBeLessThan(4_000 + SLACK_MS);
  });
});
