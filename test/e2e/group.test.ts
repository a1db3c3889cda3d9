/** A group of 200 jobs, with failures in it, on two workers of which one is killed: one group completion. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/index.js';
import { groupCompletionSchema } from '../../src/domain/group-completion.js';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const photo = readFileSync(new URL('../fixtures/photos/chelsea.jpg', import.meta.url));
const TOTAL = 200;

describe('a group', () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MAX_JOBS: '16' });
  });
  afterAll(() => scene.close());

  it('of 200 with failures in it, on two workers of which one is killed, ends with one completion', async () => {
    const [doomed, other] = await Promise.all([scene.startWorker(), scene.startWorker()]);
    showOnFailure(other);
    const uri = await scene.upload('chelsea.jpg', photo);
    const gone = `gs://uploads-${scene.id}/gone.jpg`;
    const group = { id: 'album-17', total: TOTAL };
    const jobs = Array.from({ length: TOTAL }, (_, i) => ({
      ...{ jobId: `photo-${i}`, operations: ['echo'], group, output: { maxWidth: 32 } },
      input: { uri: i % 10 === 3 ? gone : uri },
    }));
    const client = createClient({ env: scene.env });
    const waiting = client.waitForGroup(group, { signal: AbortSignal.timeout(55_000) });
    await Promise.all(jobs.map((job) => scene.publish(job)));
    await until(
      () => scene.published.length >= 60,
      40_000,
      () => `${scene.published.length} completions`,
    );
    doomed.signal('SIGKILL');
    await doomed.exit;
    const ended = await waiting;
    expect(ended.counts).toEqual({ succeeded: 180, failed: 20, expired: 0, canceled: 0 });
    await until(() => scene.groups.length > 0, 10_000);
    // Each job's completion was published before.
    const told = new Set(scene.published.map(({ completion }) => completion.jobId));
    expect(told.size).toBe(TOTAL);
    const counts = await client.countJobs({ group: 'album-17' });
    expect(counts).toMatchObject({ jobs: TOTAL, byStatus: { succeeded: 180, failed: 20 } });
    await client.close();

    const counted = await scene.imagen('jobs', 'list', '--group', 'album-17', '--count');
    expect(counted.stdout).toBe('200 jobs have ended: 180 succeeded, 20 failed: 20 INPUT_NOT_FOUND\n');

    // A job that comes again, and a redrive of one, publish no second outcome.
    await Promise.all(
      [...jobs.slice(0, 20), { ...jobs[3], jobId: 'photo-3~r1', redriveOf: 'photo-3' }].map((job) =>
        scene.publish(job),
      ),
    );
    await scene.completions(1, 'photo-3~r1');
    await until(() => scene.published.length >= TOTAL + 21, 20_000);
    expect(new Set(scene.groups).size).toBe(1);
    expect(groupCompletionSchema.parse(JSON.parse(scene.groups[0] ?? ''))).toEqual(ended);
  });
});
