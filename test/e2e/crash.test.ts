import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CRASH_STEPS, crashPoints, readCrashes } from '../../scripts/lab/chaos/crashes.js';
import { generationsOf, type Lane, openLane, recorded } from '../support/lane.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

/** Of the subscriptions. */
const ACK_DEADLINE_MS = 10_000;
const SLACK_MS = 2_000;
type Step = (typeof CRASH_STEPS)[number];

const jobOf = (step: Step) => `job-dies-after-${step}`;

describe('a worker that is killed', () => {
  let scene: Scene;
  let crashes: string;
  let successor: WorkerProcess;
  let successorAt: number;
  /** When the last completion that is to come had come, by step. */
  const doneAt = new Map<Step, number>();

  // All steps at once: each kill costs a lease of ten seconds.
  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MAX_JOBS: '2' });
    crashes = await mkdtemp(join(tmpdir(), 'imagen-crashes-'));
    const picture = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#456' } })
      .png()
      .toBuffer();
    const uri = await scene.upload('a.png', picture);
    const lanes = new Map<Step, Lane>();
    for (const step of CRASH_STEPS) lanes.set(step, await openLane(scene, step));
    const armed = { NODE_OPTIONS: `--import ${crashPoints}`, CRASHES: crashes };
    await Promise.all(
      [...lanes].map(async ([step, lane]) => {
        const worker = await scene.startWorker({ ...armed, IMAGEN_JOBS_SUBSCRIPTIONS: lane.subscription });
        await lane.publish({ jobId: jobOf(step), operations: ['echo'], input: { uri } });
        await worker.exit;
      }),
    );
    const names = [...lanes.values()].map(({ subscription }) => subscription);
    successor = await scene.startWorker({ IMAGEN_JOBS_SUBSCRIPTIONS: names.join(',') });
    successorAt = Date.now();
    await Promise.all(
      CRASH_STEPS.map(async (step) => {
        // Only after the publish has the first worker told of the job before it died.
        await scene.completions(step === 'publish' ? 2 : 1, jobOf(step), 2 * ACK_DEADLINE_MS);
        doneAt.set(step, Date.now());
      }),
    );
  }, 120_000);

  beforeEach(() => showOnFailure(successor));
  afterAll(async () => {
    await scene.close();
    await rm(crashes, { recursive: true, force: true });
  });

  it.each(CRASH_STEPS)('after %s is succeeded by another in time, with one outcome and one result', async (step) => {
    const jobId = jobOf(step);
    const crash = readCrashes(crashes).find((one) => one.jobId === jobId) ?? expect.fail('nobody died');
    expect(crash).toMatchObject({ step, attempt: 1 });

    const [first = expect.fail(), ...others] = await scene.completions(1, jobId);
    expect(first.completion).toMatchObject({ status: 'succeeded', jobId });
    for (const { body } of others) expect(body).toBe(first.body);
    expect(await recorded(scene, jobId)).toEqual(first.completion);
    expect(await generationsOf(scene, jobId)).toEqual([first.completion.output?.generation]);

    const tookMs = (doneAt.get(step) ?? NaN) - Math.max(crash.at, successorAt);
    expect(tookMs).toBeLessThan(ACK_DEADLINE_MS + SLACK_MS);
  });

  it('leaves no message behind', async () => {
    // Whatever a dead worker still held has come again by now: more completions would have been published.
    await until(() => scene.published.length >= CRASH_STEPS.length + 1, 1_000);
    expect(scene.published).toHaveLength(CRASH_STEPS.length + 1);
  });
});
