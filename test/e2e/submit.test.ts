/** `imagen submit` of many pictures, interrupted and gone on with; and what it says when something is wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Message } from '@google-cloud/pubsub';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/cli/pictures/report.js';
import type { Completion } from '../../src/domain/completion.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const COUNT = 100;
const ROW_COLUMNS = 'input,outcome,jobId,published,code,message,output,saved,totalMs';

async function picture(seed: number): Promise<Buffer> {
  const background = { r: seed % 256, g: (seed * 7) % 256, b: 200 };
  return sharp({ create: { width: 24, height: 16, channels: 3, background } })
    .png()
    .toBuffer();
}

describe('imagen submit', () => {
  let scene: Scene;
  let worker: WorkerProcess;
  let folder: string;
  let photo: string;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MODEL_WAIT_SECONDS: '1' });
    worker = await scene.startWorker();
    folder = mkdtempSync(join(tmpdir(), 'imagen-submit-'));
    photo = join(folder, 'photo.png');
    writeFileSync(photo, await picture(1));
  });
  afterAll(async () => {
    await scene.close();
    rmSync(folder, { recursive: true });
  });

  /** Starts the command, and gives what it has said so far. */
  function start(...args: string[]) {
    const child = spawn(process.execPath, [CLI, 'submit', ...args], { env: scene.env });
    const said = { out: '', err: '' };
    child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()));
    const code = once(child, 'close').then(([exit]) => exit as number | null);
    return { said, code, interrupt: () => child.kill('SIGINT') };
  }

  it('goes on after an interruption and the death of a worker, and submits nothing twice', async () => {
    const pictures = join(folder, 'pictures');
    for (const place of ['', 'a', 'a/b']) mkdirSync(join(pictures, place), { recursive: true });
    const names = Array.from({ length: COUNT - 2 }, (_, i) => join(['', 'a', 'a/b'][i % 3] ?? '', `p${i}.png`));
    for (const [i, name] of names.entries()) writeFileSync(join(pictures, name), await picture(i));
    writeFileSync(join(pictures, 'a/p0.png'), await picture(0)); // the same picture in another folder
    writeFileSync(join(pictures, 'broken.png'), (await picture(0)).subarray(0, 60));
    writeFileSync(join(pictures, 'empty.jpg'), '');
    writeFileSync(join(pictures, 'notes.txt'), 'not for the model');
    const out = join(folder, 'out');
    const args = [pictures, '-p', 'style_aged', '--format', 'webp', '--out', out, '--report'];

    // What is published, whatever workers do with it. A copy that a worker puts back says how often it was deferred.
    const published: string[] = [];
    const [spy] = await scene.pubsub.topic(scene.env.IMAGEN_JOBS_TOPIC).createSubscription(`spy-${scene.id}`);
    spy.on('message', (message: Message) => {
      const { jobId } = JSON.parse(message.data.toString()) as { jobId: string };
      if (message.attributes.deferrals === undefined) published.push(jobId);
      message.ack();
    });

    const first = start(...args, join(folder, 'first.json'));
    await until(
      () => published.length >= 10,
      30_000,
      () => first.said.err,
    );
    first.interrupt();
    worker.signal('SIGKILL');
    expect(await first.code, first.said.err).toBe(130);
    const before = JSON.parse(readFileSync(join(folder, 'first.json'), 'utf8')) as Report;
    expect(before).toMatchObject({ interrupted: true });
    expect(before.jobs.length).toBe(COUNT + 1);
    const told = before.jobs.flatMap(({ jobId }) => jobId ?? []);
    expect(told).toEqual(expect.arrayContaining(published)); // each published job is known by its id
    expect(before.counts.submitted).toBeGreaterThan(0);
    expect(before.jobs.find(({ outcome }) => outcome === 'submitted')).toMatchObject({ published: true });

    worker = await scene.startWorker();
    showOnFailure(worker);
    const again = await scene.imagen('submit', ...args, join(folder, 'second.json'));
    expect(again.code, again.stderr).toBe(1); // two pictures cannot be done
    const after = JSON.parse(readFileSync(join(folder, 'second.json'), 'utf8')) as Report;
    expect(after.counts).toEqual({ succeeded: COUNT - 1, failed: 1, refused: 1 });
    expect(again.stderr).toMatch(/101 pictures \(1 other file left out\)/);
    expect(again.stderr).toMatch(/refused INPUT_EMPTY +1 +e\.g\. .*empty\.jpg/);
    expect(again.stderr).toMatch(/succeeded +99/);
    expect(again.stderr).not.toContain('note:');
    // They were submitted without a group, and so that group never ends.
    const grouped = await scene.imagen('submit', ...args, join(folder, 'third.json'), '--group', 'late');
    expect(grouped.stderr).toContain(
      'note: 100 jobs that were submitted before with another group: the earlier one holds',
    );

    const ids = new Set(after.jobs.flatMap(({ jobId }) => jobId ?? []));
    expect(ids.size).toBe(COUNT - 1); // one picture is there twice
    await until(() => published.length >= ids.size, 10_000);
    expect(published.sort()).toEqual([...ids].sort()); // each once
    await scene.completions(ids.size);
    expect(new Set(scene.published.map(({ completion }) => completion.jobId))).toEqual(ids);

    expect(readdirSync(join(out, 'a/b')).sort()).toEqual(
      names
        .filter((name) => name.startsWith('a/b'))
        .map((name) => name.slice(4).replace('png', 'webp'))
        .sort(),
    );
    expect(await sharp(readFileSync(join(out, 'a/p0.webp'))).metadata()).toMatchObject({ format: 'webp', width: 24 });

    // All has been done, so a third run only says so.
    const third = await scene.imagen('submit', ...args, join(folder, 'third.csv'), '--json');
    expect((JSON.parse(third.stdout) as Report).counts).toEqual(after.counts);
    expect(published.length).toBe(ids.size);
    expect((JSON.parse(third.stdout) as Report).jobs.filter(({ published }) => published)).toEqual([]);
    const [head, ...rows] = readFileSync(join(folder, 'third.csv'), 'utf8').trim().split('\r\n');
    expect([head, rows.length]).toEqual([ROW_COLUMNS, COUNT + 1]);
  }, 120_000);

  it('takes globs, manifests and parameters, and only publishes when it shall not wait', async () => {
    const uri = await scene.upload('there.png', await picture(90));
    writeFileSync(
      join(folder, 'jobs.jsonl'),
      `${JSON.stringify({ input: 'photo.png', operations: ['no_such_model'] })}\n${JSON.stringify({ input: uri, jobId: 'by-manifest', output: { maxWidth: 10 } })}\n`,
    );
    const args = ['-p', 'style_aged', '--format', 'jpeg', '--no-wait', '--json'];
    const { code, stdout, stderr } = await scene.imagen(
      'submit',
      join(folder, 'jobs.jsonl'),
      join(folder, 'ph*.png'),
      ...args,
    );
    expect(code, stderr).toBe(0);
    expect((JSON.parse(stdout) as Report).counts).toEqual({ submitted: 3 });
    const [done] = await scene.completions(1, 'by-manifest');
    expect(done?.completion).toMatchObject({ status: 'succeeded', output: { width: 10, contentType: 'image/jpeg' } });

    const one = await scene.imagen(
      'submit',
      photo,
      '-p',
      'style_aged',
      '--param',
      'strength=2',
      '--job-id',
      'with-param',
      '--wait',
    );
    expect([one.code, one.stderr]).toEqual([1, expect.stringMatching(/INVALID_PARAMETERS: .*strength/)]);
  });

  it('does not take the outcome of another job for that of a used id', async () => {
    const out = join(folder, 'used.png');
    const args = ['--job-id', 'used', '--wait', '-o', out];
    const first = await scene.imagen('submit', photo, '-p', 'style_aged@1', ...args);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/published +used: style_aged@1\n/);
    const second = await scene.imagen('submit', photo, '-p', 'style_comic', ...args, '--json');
    expect(second.code).toBe(1);
    expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: 'JOB_ID_REUSED' } });
    expect(second.stderr).toMatch(/^imagen: JOB_ID_REUSED: the id used stands for another job/);
    // A redrive has an id of its own.
    const redrive = await scene.imagen(
      'submit',
      photo,
      '-p',
      'style_comic',
      '--redrive-of',
      'used',
      '--wait',
      '--json',
    );
    expect(redrive.code, redrive.stderr).toBe(0);
    expect(JSON.parse(redrive.stdout) as Completion).toMatchObject({ jobId: 'used~r1', redriveOf: 'used' });
  });

  it('writes the result to standard output', async () => {
    const child = spawn(process.execPath, [CLI, 'submit', photo, '-p', 'style_aged', '--wait', '-o', '-'], {
      env: scene.env,
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(await sharp(Buffer.concat(chunks)).metadata()).toMatchObject({ format: 'png', width: 24 });
  });

  it('says why a job has no outcome: no subscription, Triton away, no worker', async () => {
    await scene.pubsub.createTopic(`bare-${scene.id}`);
    const waiting = (seconds: string, env: Readonly<Record<string, string>>, operation = 'style_aged') => {
      const args = [CLI, 'submit', photo, '-p', operation, '--wait', '--wait-seconds', seconds];
      return runProgram(process.execPath, args, { ...scene.env, ...env });
    };
    const nobody = `unheard-${scene.id}`; // no worker pulls from it
    const [topic] = await scene.pubsub.createTopic(nobody);
    await topic.createSubscription(`${nobody}-reader`);
    const [bare, away, idle, broken] = await Promise.all([
      waiting('6', { IMAGEN_JOBS_TOPIC: `bare-${scene.id}` }),
      waiting('1', { IMAGEN_JOBS_TOPIC: `bare-${scene.id}`, TRITON_URL: '127.0.0.1:1' }),
      waiting('1', { IMAGEN_JOBS_TOPIC: nobody, TRITON_URL: '' }),
      waiting('1', { IMAGEN_JOBS_TOPIC: nobody }, 'bad_contract'),
    ]);
    expect(bare.code).toBe(1);
    expect(bare.stderr).toMatch(/no outcome after 6 s/);
    expect(bare.stderr).toMatch(/waiting +5 s\n/);
    expect(bare.stderr).toMatch(/no subscription takes jobs from the topic bare-.*imagen setup/);
    expect(away.stderr).toMatch(/no outcome after 1 s; .*Triton at 127\.0\.0\.1:1 does not answer/);
    expect(broken.stderr).toMatch(/the model bad_contract is not ready at Triton: .*imagen/);
    expect(idle.stderr).toMatch(/no outcome after 1 s; no worker has ended it: is one running .*jobs-worker-/);
  });

  it('tells of several pictures why they wait, and ends at the limit with the ids', async () => {
    await scene.pubsub.createTopic(`lonely-${scene.id}`);
    const other = join(folder, 'other.png');
    writeFileSync(other, await picture(77));
    const args = ['submit', photo, other, '-p', 'style_aged', '--out', join(folder, 'lonely'), '--json'];
    const startedAt = Date.now();
    const { code, stdout, stderr } = await runProgram(process.execPath, [CLI, ...args, '--wait-seconds', '10'], {
      ...scene.env,
      IMAGEN_JOBS_TOPIC: `lonely-${scene.id}`,
    });
    expect(code, stderr).toBe(1);
    expect(Date.now() - startedAt).toBeLessThan(20_000);
    expect(stderr).toMatch(/^0\/2 {2}0\.0 jobs\/s {2}2 published$/m);
    expect(stderr.match(/no subscription takes jobs from the topic lonely-.*imagen setup/g)).toHaveLength(1);
    expect(stderr).toMatch(/^no more waiting after 10 s$/m);
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({ interrupted: false, counts: { submitted: 2 } });
    for (const job of report.jobs) expect(job).toMatchObject({ jobId: expect.any(String) as string, published: true });
  }, 30_000);

  it('saves a result whose name is as long as a name can be', async () => {
    const name = `${'n'.repeat(240)}.webp`;
    const { code, stderr } = await scene.imagen(
      ...['submit', photo, '-p', 'style_aged', '--wait', '-o', join(folder, name)],
    );
    expect(code, stderr).toBe(0);
    expect(await sharp(readFileSync(join(folder, name))).metadata()).toMatchObject({ format: 'webp', width: 24 });
  });

  it('cancels only what it knows, unless it is told to', async () => {
    const unknown = await scene.imagen('cancel', 'typo-id');
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toMatch(/no job typo-id is known.*--force/);
    expect(await scene.imagen('cancel', 'typo-id', '--force')).toMatchObject({
      code: 0,
      stdout: 'typo-id: canceled\n',
    });
  });
});
