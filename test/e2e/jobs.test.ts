/** What happened to jobs, and doing them again: the commands and the library on the real parts, with one worker. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../src/cli/dead-letters/letter.js';
import type { EndedJob, JobCounts, JobStatus, Redriven } from '../../src/client/index.js';
import { type Client, createClient } from '../../src/client/index.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const photo = readFileSync(new URL('../fixtures/photos/chelsea.jpg', import.meta.url));

interface Listed {
  readonly jobs: readonly EndedJob[];
  readonly counts?: JobCounts;
  readonly next?: string;
}
interface RedrivenAll {
  readonly jobs: readonly Redriven[];
  readonly counts: Readonly<Record<string, number>>;
}

describe('jobs that have ended', () => {
  let scene: Scene;
  let worker: WorkerProcess;
  let client: Client;
  const missing = Array.from({ length: 20 }, (_, i) => `order-${String(i * 5).padStart(3, '0')}`);

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MAX_JOBS: '16' });
    worker = await scene.startWorker();
    client = createClient({ env: scene.env });
    // A hundred jobs, of which each fifth names an input that is not there.
    const uri = await scene.upload('chelsea.jpg', photo);
    const ids = Array.from({ length: 100 }, (_, i) => `order-${String(i).padStart(3, '0')}`);
    const inputOf = (jobId: string) =>
      missing.includes(jobId) ? { uri: `gs://uploads-${scene.id}/late/${jobId}.jpg` } : { uri };
    const deadline = new Date(Date.now() + 120_000).toISOString();
    await Promise.all(
      ids.map((jobId) =>
        scene.publish({ jobId, operations: ['echo'], input: inputOf(jobId), output: { maxWidth: 32 }, deadline }),
      ),
    );
    await scene.completions(100, undefined, 60_000);
  });
  afterAll(async () => {
    await client.close();
    await scene.close();
  });

  async function json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await scene.imagen(...args, '--json');
    expect([code, stderr], stderr).toEqual([0, expect.anything()]);
    return JSON.parse(stdout) as T;
  }

  it('are listed for a reader that goes, and for a disk that is full', async () => {
    const shell = (line: string) =>
      runProgram('bash', ['-c', line.replaceAll('imagen', `'${process.execPath}' '${CLI}'`)], scene.env);
    const head = await shell('set -o pipefail; imagen jobs list --json | head -1');
    expect(head).toMatchObject({ stdout: '{\n', stderr: '' });
    expect([0, 141]).toContain(head.code); // 0 if all was written before the reader went
    const watch = await shell('imagen jobs list --watch --json | head -1; exit ${PIPESTATUS[0]}');
    expect(watch).toMatchObject({ code: 141, stderr: '' });
    expect(JSON.parse(watch.stdout)).toMatchObject({ jobId: 'order-000' });
    const full = await shell('imagen jobs list --json >/dev/full');
    expect([full.code, full.stderr]).toEqual([
      1,
      expect.stringMatching(/^imagen: standard output cannot be written: ENOSPC: .*\n$/),
    ]);
  });

  it('are found by how they ended, when, and by the beginning of their ids', async () => {
    const idsOf = ({ jobs }: Listed) => jobs.map(({ jobId }) => jobId);
    expect(idsOf(await json('jobs', 'list', '--code', 'INPUT_NOT_FOUND'))).toEqual(missing);
    expect(idsOf(await json('jobs', 'list', '--status', 'failed', '--prefix', 'order-00'))).toEqual(
      missing.slice(0, 2),
    );
    expect(idsOf(await json('jobs', 'list', '--model', 'upscale'))).toEqual([]);
    expect(idsOf(await json('jobs', 'list', '--until', '1d'))).toEqual([]);
    expect(await json('jobs', 'list', '--since', '1h', '--count')).toEqual({
      counts: { jobs: 100, byStatus: { failed: 20, succeeded: 80 }, byCode: { INPUT_NOT_FOUND: 20 } },
    });
    const first = await json<Listed>('jobs', 'list', '--limit', '60');
    expect([first.jobs.length, first.next]).toEqual([60, 'order-059']);
    const second = await json<Listed>('jobs', 'list', '--after', 'order-059');
    expect([idsOf(second)[0], second.jobs.length, second.next]).toEqual(['order-060', 40, undefined]);
  });

  it('are shown with their request, and told apart from unknown ones', async () => {
    const shown = await json<JobStatus>('jobs', 'show', 'order-005');
    expect(shown.completion?.error?.code).toBe('INPUT_NOT_FOUND');
    expect(shown.request?.message).toMatchObject({ jobId: 'order-005', operations: ['echo'] });
    const { code, stdout } = await scene.imagen('status', 'order-001', 'order-005', 'nobody');
    expect(stdout).toMatch(/^order-001: succeeded: gs:.*\norder-005: failed: INPUT_NOT_FOUND: .*\nnobody: unknown/);
    expect(code).toBe(1);
  });

  it('are redriven by one command when the cause is mended, and by the same command again not twice', async () => {
    showOnFailure(worker);
    const redrive = (...more: string[]) => json<RedrivenAll>('redrive', '--code', 'INPUT_NOT_FOUND', ...more);
    expect((await redrive('--dry-run')).counts).toEqual({ 'would be published': 20 });
    await Promise.all(missing.map((jobId) => scene.upload(`late/${jobId}.jpg`, photo)));
    const { counts, jobs } = await redrive();
    expect(counts).toEqual({ published: 20 });
    expect(jobs.map(({ jobId }) => jobId)).toEqual(missing.map((jobId) => `${jobId}~r1`));
    const again = await redrive();
    expect(again.counts.published).toBeUndefined();
    expect((again.counts['under way'] ?? 0) + (again.counts.done ?? 0)).toBe(20);
    await scene.completions(120);
    expect((await redrive()).counts).toEqual({ done: 20 });
    const done = scene.published.filter(({ completion }) => completion.redriveOf !== undefined);
    expect(done.map(({ completion: { jobId, status } }) => `${jobId}: ${status}`).sort()).toEqual(
      missing.map((jobId) => `${jobId}~r1: succeeded`),
    );
    expect(await worker.metric('imagen_jobs_total')).toBe(120);
  });

  it('are redriven again under the next number, and only if that may help', async () => {
    const uri = `gs://uploads-${scene.id}/text.jpg`;
    await scene.upload('text.jpg', Buffer.from('no picture'));
    const deadline = new Date(Date.now() + 1_500).toISOString();
    await scene.publish({ jobId: 'text', operations: ['echo'], input: { uri } });
    await scene.publish({ jobId: 'late', operations: ['no_such_model'], input: { uri }, deadline });
    await scene.completions(1, 'text');
    await scene.completions(1, 'late');

    expect(await client.redrive('text')).toMatchObject({
      state: 'refused',
      why: expect.stringMatching(/^UNSUPPORTED_FORMAT: /) as string,
    });
    expect(await client.redrive('text', { force: true })).toMatchObject({ state: 'published', jobId: 'text~r1' });
    await scene.completions(1, 'text~r1');
    await scene.uploads.file('text.jpg').save(photo, { resumable: false });
    expect(await client.redrive('text~r1')).toEqual({ original: 'text', state: 'published', jobId: 'text~r2' });
    const [end] = await scene.completions(1, 'text~r2');
    expect(end?.completion).toMatchObject({ status: 'succeeded', redriveOf: 'text' });
    expect(await client.redrive('text')).toMatchObject({ state: 'done', jobId: 'text~r2' });

    // The deadline that has passed does not end the redrive.
    await until(() => Date.now() > Date.parse(deadline), 5_000);
    const redriven = await client.redrive('late');
    expect(redriven).toMatchObject({ state: 'published', jobId: 'late~r1' });
    const kept = (await client.status('late~r1')).request?.message;
    expect([kept?.deadline, kept?.redriveOf]).toEqual([undefined, 'late']);
  });

  it('are not redriven while they fail in the same way, unless it is forced or the missing input is there', async () => {
    const input = { uri: `gs://uploads-${scene.id}/soon.jpg` };
    await scene.publish({ jobId: 'soon', operations: ['echo'], input });
    await scene.completions(1, 'soon');
    expect(await client.redrive('soon')).toMatchObject({ state: 'published', jobId: 'soon~r1' });
    await scene.completions(1, 'soon~r1');
    expect(await client.redrive('soon')).toMatchObject({
      ...{ state: 'refused', jobId: 'soon~r1' },
      why: expect.stringMatching(/^INPUT_NOT_FOUND: soon~r1 failed in the same way less than 5 minutes ago/) as string,
    });
    expect(await client.redrive('soon', { force: true })).toMatchObject({ state: 'published', jobId: 'soon~r2' });
    await scene.completions(1, 'soon~r2');
    expect(await client.redrive('soon')).toMatchObject({ state: 'refused', jobId: 'soon~r2' });
    await scene.upload('soon.jpg', photo);
    expect(await client.redrive('soon')).toMatchObject({ state: 'published', jobId: 'soon~r3' });
    const [end] = await scene.completions(1, 'soon~r3');
    expect(end?.completion.status).toBe('succeeded');
  });

  it('are redriven once where a job and its redrive are named, beside a record that cannot be read', async () => {
    const input = { uri: `gs://uploads-${scene.id}/never.jpg` };
    for (const jobId of ['once', 'broken-1']) await scene.publish({ jobId, operations: ['echo'], input });
    await Promise.all(['once', 'broken-1'].map((jobId) => scene.completions(1, jobId)));
    await scene.imagen('redrive', 'once');
    await scene.completions(1, 'once~r1');
    const unreadable = scene.uploads.storage.bucket(`state-${scene.id}`).file('records/broken-2.json');
    await unreadable.save('no record', { resumable: false });

    const redrive = async (...args: string[]) => {
      const { code, stdout } = await scene.imagen('redrive', ...args, '--json');
      const { jobs } = JSON.parse(stdout) as RedrivenAll;
      return { code, states: jobs.map(({ original, state, jobId }) => `${original} ${state} ${jobId}`) };
    };
    expect(await redrive('once', 'once~r1', 'broken-1', 'broken-2', '--force')).toEqual({
      code: 1,
      states: ['once published once~r2', 'broken-1 published broken-1~r1', 'broken-2 refused broken-2'],
    });
    expect(await redrive('--prefix', 'broken-2')).toEqual({ code: 1, states: [] });
    await scene.completions(1, 'once~r2');
    await scene.completions(1, 'broken-1~r1');
    await unreadable.delete();
  });

  it('are watched on a subscription that is gone afterwards', async () => {
    const watching = spawn(process.execPath, [CLI, 'watch', '--prefix', 'seen', '--limit', '2', '--json'], {
      env: scene.env,
    });
    let [stdout, stderr] = ['', ''];
    watching.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    watching.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = once(watching, 'close');
    await until(
      () => stderr.includes('watching topic'),
      20_000,
      () => stderr,
    );
    const input = { uri: `gs://uploads-${scene.id}/chelsea.jpg` };
    for (const jobId of ['seen-1', 'unseen', 'seen-2']) await scene.publish({ jobId, operations: ['echo'], input });
    expect(await ended).toEqual([0, null]);
    const seen = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { jobId: string }).jobId);
    expect(seen.sort()).toEqual(['seen-1', 'seen-2']);
    expect((await scene.completions(1, 'seen-1')).length).toBe(1);
    const [left] = await scene.pubsub.topic(scene.env.IMAGEN_COMPLETIONS_TOPIC).getSubscriptions();
    expect(left.map(({ name }) => name.split('/').at(-1))).toEqual([`reader-${scene.id}`]);
  });

  it('leave dead letters, which are listed and shown, stay, and are purged', async () => {
    await scene.publishRaw('no job');
    await scene.publish({ jobId: 'unreadable', operations: [] });
    await scene.publishRaw(
      `{ "jobId": "twice", "operations": ["echo"], "operations": ["x"], "input": { "uri": "gs://i/a" } }`,
    );
    await until(
      () => scene.published.filter(({ attributes }) => attributes.errorCode === 'INVALID_MESSAGE').length >= 3,
      20_000,
    );
    const codes = async () =>
      (await json<DeadLetter[]>('dead-letters', 'list')).map(({ code, jobId }) => `${jobId ?? '?'} ${code ?? '?'}`);
    expect((await codes()).sort()).toEqual([
      '? INVALID_MESSAGE',
      'twice INVALID_MESSAGE',
      'unreadable INVALID_MESSAGE',
    ]);
    const some = await scene.imagen('dead-letters', 'list', '--limit', '2');
    expect(some.stdout.trim().split('\n')).toHaveLength(2);
    expect(some.stderr).toBe('2 dead letters were looked at, and there may be more: --limit looks at up to 10000\n');
    const shown = await json<DeadLetter>('dead-letters', 'show', 'unreadable');
    expect(shown).toMatchObject({
      data: { jobId: 'unreadable', operations: [] },
      message: expect.stringMatching(/^operations: /) as string,
    });
    const refused = await scene.imagen('redrive', '--dead-letters');
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringMatching(/unreadable: refused: INVALID_MESSAGE/)]);
    expect(refused.stdout).toMatch(/twice: refused: INVALID_MESSAGE/);
    expect((await json<DeadLetter[]>('dead-letters', 'purge', '--all', '--dry-run')).length).toBe(3);
    expect((await json<DeadLetter[]>('dead-letters', 'purge', 'unreadable', 'twice')).length).toBe(2);
    expect(await codes()).toEqual(['? INVALID_MESSAGE']);
  });
});
