/** Tenants that share a worker, and the filtered subscriptions that keep their messages apart. */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer } from '../../scripts/dev/pubsub/server.js';
import type { Completion } from '../../src/domain/completion.js';
import { openLane } from '../support/lane.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url).pathname;
const CROWD = 320;
const SINGLES = 4;
/** A full batch of the crowd takes a third of the time of the single job, so that a busy machine does not decide the test. */
const CROWD_MS = 30;
const SINGLE_MS = 700;

/** From publish to the record, in milliseconds. */
const waitOf = ({ timingsMs }: Completion) => (timingsMs?.queued ?? NaN) + (timingsMs?.total ?? NaN);
const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

describe('a tenant with one job beside another one with hundreds', () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_TENANTS: 'crowd,single' });
  });
  afterAll(() => scene.close());

  it('waits at most twice as long as alone, on one worker', async () => {
    // Google's emulator ignores filters: a topic of its own takes the place of the filter.
    const lane = await openLane(scene, 'single');
    const subscriptions = `${scene.env.IMAGEN_JOBS_SUBSCRIPTIONS},${lane.subscription}`;
    const worker = await scene.startWorker({ IMAGEN_JOBS_SUBSCRIPTIONS: subscriptions });
    showOnFailure(worker);
    const thumbnail = await sharp(photo).resize(96, 64).jpeg().toBuffer();
    const [small, other] = await Promise.all([
      scene.upload('small.jpg', thumbnail),
      scene.upload('other.jpg', await sharp(photo).resize(80, 80).jpeg().toBuffer()),
    ]);
    const job = (jobId: string, tenant: string, uri: string, ms: number) => ({
      ...{ jobId, tenant, operations: [{ model: 'sleep', parameters: { ms } }], input: { uri } },
    });
    const singles = async (run: string) => {
      const waits: number[] = [];
      for (let i = 0; i < SINGLES; i++) {
        await lane.publish(job(`${run}-${i}`, 'single', other, SINGLE_MS));
        const [ended] = await scene.completions(1, `${run}-${i}`);
        expect(ended?.completion).toMatchObject({ status: 'succeeded', tenant: 'single' });
        if (ended) waits.push(waitOf(ended.completion));
      }
      return waits;
    };
    const alone = await singles('alone');

    const crowd = Array.from({ length: CROWD }, (_, i) => job(`crowd-${i}`, 'crowd', small, CROWD_MS));
    await Promise.all(crowd.map((one) => scene.publish(one)));
    const inCrowd = (state: string) => worker.metric('imagen_tenant_jobs', { tenant: 'crowd', state });
    await until(async () => (await inCrowd('waiting')) > CROWD / 2, 10_000);
    const beside = await singles('beside');
    expect(await inCrowd('waiting')).toBeGreaterThan(0);
    expect(await inCrowd('active')).toBeGreaterThan(8);
    expect(mean(beside) / mean(alone), JSON.stringify({ alone, beside })).toBeLessThanOrEqual(2);
    expect(await worker.metric('imagen_tenant_queued_seconds_count', { tenant: 'single' })).toBe(2 * SINGLES);
  });
});

describe('subscriptions for each tenant, where Pub/Sub applies filters', () => {
  let scene: Scene;
  let close: () => Promise<unknown>;

  beforeAll(async () => {
    const pubsub = await startServer(0);
    scene = await createScene({ PUBSUB_EMULATOR_HOST: pubsub.address });
    close = async () => {
      await scene.close();
      pubsub.close();
    };
  });
  afterAll(() => close());

  it('deliver each job once, from the command line to its redrive', async () => {
    const base = scene.env.IMAGEN_JOBS_SUBSCRIPTIONS;
    const refused = await scene.imagen('setup', '--per-tenant', 'b');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('has no filter') as string });
    const made = await scene.imagen('setup', '--per-tenant', 'b', '--allow-overlap');
    expect(made.code, made.stderr).toBe(0);
    await scene.pubsub.subscription(base).delete();
    expect(await scene.imagen('setup', '--per-tenant', 'b')).toMatchObject({ code: 0 });
    const more = await scene.imagen('setup', '--per-tenant', 'b,c');
    expect(more).toMatchObject({ code: 1, stderr: expect.stringContaining('does not let a filter change') as string });

    const worker = await scene.startWorker({ IMAGEN_JOBS_SUBSCRIPTIONS: `${base}-tenant-b,${base}-others` });
    showOnFailure(worker);
    const submit = (jobId: string, ...flags: string[]) =>
      scene.imagen('submit', photo, '-p', 'echo', '--job-id', jobId, ...flags);
    const submitted = await Promise.all([
      submit('of-b', '--tenant', 'b'),
      submit('of-c', '--tenant', 'c'),
      submit('of-nobody'),
    ]);
    expect(submitted.map(({ code }) => code)).toEqual([0, 0, 0]);
    const [ofB] = await scene.completions(1, 'of-b');
    expect(ofB).toMatchObject({ completion: { tenant: 'b' }, attributes: { tenant: 'b' } });
    await scene.completions(3);
    const listed = await scene.imagen('jobs', 'list', '--tenant', 'b', '--json');
    expect(JSON.parse(listed.stdout)).toMatchObject({ jobs: [{ jobId: 'of-b', completion: { tenant: 'b' } }] });

    expect(await scene.imagen('redrive', 'of-b', '--force')).toMatchObject({ code: 0 });
    const [again] = await scene.completions(1, 'of-b~r1');
    expect(again).toMatchObject({ completion: { tenant: 'b', redriveOf: 'of-b' }, attributes: { tenant: 'b' } });
    // A message that two filters let through would have come twice.
    expect(await worker.metric('imagen_deliveries_total')).toBe(4);

    await scene.pubsub.subscription(`${base}-others`).delete();
    const env = { ...scene.env, IMAGEN_JOBS_SUBSCRIPTIONS: `${base}-tenant-b` };
    const gap = `no subscription of ${scene.env.IMAGEN_JOBS_TOPIC} takes jobs with no or another tenant`;
    const setup = await runProgram(process.execPath, [CLI, 'setup', '--dry-run'], env);
    expect(setup.stderr).toContain(`warning: ${gap}`);
    const doctor = await runProgram(process.execPath, [CLI, 'doctor', '--json'], env);
    expect((JSON.parse(doctor.stdout) as { checks: unknown[] }).checks).toContainEqual(
      expect.objectContaining({ name: 'pubsub.gap', verdict: 'fault', message: `${gap}, so they are lost` }),
    );
  });
});
