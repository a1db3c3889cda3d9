import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

/** Longer than the 10 s after which a lost lease lets its message come again. */
const REDELIVERY_MS = 13_000;

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
});
