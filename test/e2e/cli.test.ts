import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTriton } from '../../src/adapters/triton/server.js';
import type { Completion } from '../../src/domain/completion.js';
import { isMeasured, type Report } from '../../src/cli/capacity/report.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url).pathname;

describe('the command line', () => {
  let scene: Scene;
  let folder: string;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MODEL_WAIT_SECONDS: '1' });
    folder = mkdtempSync(join(tmpdir(), 'imagen-'));
  });
  afterAll(async () => {
    await scene.close();
    rmSync(folder, { recursive: true });
  });

  it('sets up again without changing anything', async () => {
    const { code, stdout } = await scene.imagen('setup');
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/created|updated/);
  });

  it('gives the subscription its policies', async () => {
    const [metadata] = await scene.pubsub.subscription(scene.env.IMAGEN_JOBS_SUBSCRIPTIONS).getMetadata();
    expect(metadata.deadLetterPolicy?.maxDeliveryAttempts).toBe(10);
    expect(metadata.deadLetterPolicy?.deadLetterTopic).toMatch(new RegExp(`/${scene.env.IMAGEN_DEAD_LETTER_TOPIC}$`));
    expect(Number(metadata.retryPolicy?.minimumBackoff?.seconds)).toBeGreaterThan(0);
  });

  it('submits a file, waits for its record and saves the result', async () => {
    showOnFailure(await scene.startWorker());
    const out = join(folder, 'submitted.webp');
    const args = [
      '-p',
      'style_aged,style_comic',
      '--format',
      'webp',
      '--max-width',
      '200',
      '--wait',
      '-o',
      out,
      '--json',
    ];
    const { code, stdout, stderr } = await scene.imagen('submit', photo, ...args);
    expect(code, stderr).toBe(0);
    const completion = JSON.parse(stdout) as Completion;
    expect(completion.steps?.map(({ model }) => model)).toEqual(['style_aged', 'style_comic']);
    expect(await sharp(readFileSync(out)).metadata()).toMatchObject({ format: 'webp', width: 200, height: 133 });
    expect(stderr).toMatch(/uploaded .*\n(.*\n)*published .*\n(.*\n)*succeeded /);
  });

  it('exits with 1 when the job fails, and tells the code', async () => {
    const { code, stderr } = await scene.imagen('submit', photo, '-p', 'nonsense', '--wait');
    expect(code).toBe(1);
    expect(stderr).toMatch(/UNKNOWN_MODEL: model nonsense: expected one of .*upscale/);
  });

  it('processes a file without Pub/Sub and Cloud Storage', async () => {
    const out = join(folder, 'processed.png');
    const { code, stderr } = await scene.imagen('process', photo, '-p', 'enhance', '-o', out);
    expect(code, stderr).toBe(0);
    expect(await sharp(readFileSync(out)).metadata()).toMatchObject({ format: 'png', width: 451, height: 300 });
  });

  it('processes a folder, in batches, with a report of what could not be done', async () => {
    const [inputs, out] = [join(folder, 'many'), join(folder, 'many-out')];
    mkdirSync(join(inputs, 'deep'), { recursive: true });
    const picture = await sharp(photo).resize(60, 40).png().toBuffer();
    const names = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? `${i}.png` : `deep/${i}.png`));
    for (const name of names) writeFileSync(join(inputs, name), picture);
    writeFileSync(join(inputs, 'text.png'), 'No picture.\n');
    writeFileSync(join(inputs, 'notes.txt'), 'left out\n');
    const triton = connectTriton({ url: scene.env.TRITON_URL });
    const runs = async () => {
      const [counted] = await triton.statistics('sleep', AbortSignal.timeout(5_000));
      return counted?.batches.reduce((sum, { executions }) => sum + executions, 0) ?? 0;
    };
    const before = await runs();
    const args = ['process', inputs, '-p', 'sleep', '--param', 'ms=300', '--format', 'webp', '--out', out, '--json'];
    const { code, stdout, stderr } = await scene.imagen(...args);
    expect(code, stderr).toBe(1);
    const report = JSON.parse(stdout) as { counts: object; jobs: { input: string; code?: string }[] };
    expect(report.counts).toEqual({ succeeded: 16, failed: 1 });
    expect(report.jobs.find(({ input }) => input.endsWith('text.png'))?.code).toBe('UNSUPPORTED_FORMAT');
    for (const name of names) {
      const result = readFileSync(join(out, name.replace('.png', '.webp')));
      expect(await sharp(result).metadata()).toMatchObject({ format: 'webp', width: 60, height: 40 });
    }
    expect(stderr).toContain('17 pictures (1 other files left out)');
    expect((await runs()) - before).toBeLessThanOrEqual(8);
    await triton.close();
  });

  it('shows the models and their contracts', async () => {
    const { code, stdout } = await scene.imagen('models');
    expect(code).toBe(0);
    for (const model of ['upscale', 'enhance', 'background_remove', 'style_comic', 'style_aged']) {
      expect(stdout).toContain(`${model}: `);
    }
  });

  it('measures what a model costs, and tells of each that it cannot measure', async () => {
    const args = ['--model', 'sleep,nonsense', '--version', '1', '--sizes', '256x256,2000x1000', '--gpu-price', '0.5'];
    const { code, stdout, stderr } = await scene.imagen('capacity', ...args, '--seconds', '6', '--json');
    expect(code, stderr).toBe(1); // not all was measured
    const { ranOn, versions, notes } = JSON.parse(stdout) as Report;
    expect(ranOn.triton).toMatchObject({ version: expect.stringMatching(/^2\./) as string, onThisMachine: true });
    expect(ranOn.transport).toEqual(['shm']);
    const [sleeper, nonsense] = versions;
    expect(nonsense).toMatchObject({ model: 'nonsense', error: { code: 'UNKNOWN_MODEL' } });
    expect(sleeper).toMatchObject({ model: 'sleep', version: '1', device: 'cpu', instances: 1, maxBatchSize: 8 });
    expect(notes.join()).toMatch(/sleep@1.* no figure for a GPU/);

    // It sleeps 10 ms, and 5 ms for each picture of 0.0655 megapixels. A busy machine wakes it later.
    const [size, tooLarge] = sleeper?.sizes ?? [];
    expect(sleeper?.cost?.launchMs).toBeGreaterThan(8);
    expect(sleeper?.cost?.launchMs).toBeLessThan(20);
    expect(sleeper?.cost?.perMegapixelMs).toBeGreaterThan(60);
    expect(sleeper?.cost?.perMegapixelMs).toBeLessThan(120);
    expect(tooLarge).toMatchObject({ width: 2000, height: 1000, error: { code: 'OUTPUT_TOO_LARGE' } });
    if (!size || !isMeasured(size) || !size.worker || !size.sizing) expect.fail(stdout);
    expect(size).toMatchObject({ width: 256, height: 256, plan: 'whole', requests: 1 });
    const { executions, worker, sizing } = size;
    expect(executions.batches.at(-1)?.batchSize).toBe(8);
    expect(executions.counted).toBe(executions.answered);
    // Batches of eight take 50 ms, so a hundred and sixty a second are the most.
    expect(sizing.jobsPerSecondPerGpu).toBeGreaterThan(90);
    expect(sizing.jobsPerSecondPerGpu).toBeLessThanOrEqual(160);
    expect(worker.jobsPerSecond).toBeGreaterThan(10);
    expect(worker.jobsPerSecond).toBeLessThan(170);
    expect(worker.cpuMsPerJob).toBeGreaterThan(0.5);
    expect(sizing.imagesPerGpuHour).toBeCloseTo(3600 * sizing.jobsPerSecondPerGpu);
    expect(sizing.costPerThousand).toBeCloseTo(500 / sizing.imagesPerGpuHour);
  });

  it('shows what it has measured when it is stopped', async () => {
    const running = spawn(
      process.execPath,
      [CLI, 'capacity', '-m', 'sleep', '--sizes', '64x64,128x128', '--seconds', '5'],
      {
        env: scene.env,
      },
    );
    let [stdout, stderr] = ['', ''];
    running.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    running.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = once(running, 'close');
    await until(() => stderr.includes('128x128'), 30_000);
    running.kill('SIGINT');
    expect(await ended).toEqual([1, null]);
    expect(stdout).toMatch(/sleep@1 +64x64 /);
    expect(stdout).not.toMatch(/128x128/);
    expect(stdout).toContain('Stopped by a signal');
  });

  it('says that Triton is away', async () => {
    const env = { ...scene.env, TRITON_URL: '127.0.0.1:1' };
    const { code, stderr } = await runProgram(process.execPath, [CLI, 'capacity'], env);
    expect(stderr).toMatch(/^imagen: Triton at 127\.0\.0\.1:1 does not answer: start it, or mend TRITON_URL \(/);
    expect(code).toBe(1);
  });

  it.each([
    ['sizes that are none', ['capacity', '--sizes', 'large'], /--sizes: expected .*given "large"/],
    [
      'a time that is none',
      ['capacity', '--seconds', '0'],
      /--seconds: expected a number above 0, at most 600, given "0"/,
    ],
    [
      'a price that is none',
      ['capacity', '--gpu-price', 'cheap'],
      /--gpu-price: expected a number above 0, given "cheap"/,
    ],
    [
      'a wrong option',
      ['submit', photo, '-p', 'enhance', '--quality', 'high'],
      /--quality: expected a number, given "high"/,
    ],
    ['an unknown command', ['dance'], /unknown command/],
  ])('exits with 2 for %s', async (_name, args, message) => {
    const { code, stderr } = await scene.imagen(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('names every wrong variable before it does anything', async () => {
    const bad = await createScene();
    Object.assign(bad.env, { IMAGEN_MAX_ATTEMPTS: 'many', TRITON_URL: '' });
    const { code, stderr } = await bad.imagen('worker');
    await bad.close();
    expect(code).toBe(2);
    expect(stderr).toContain('IMAGEN_MAX_ATTEMPTS: expected a whole number from 1 to 95, given "many"');
    expect(stderr).toMatch(/TRITON_URL: expected .*given nothing/);
  });

  it('says what to do when the subscription is missing', async () => {
    const bare = await createScene({ IMAGEN_DRAIN_SECONDS: '2' });
    Object.assign(bare.env, { IMAGEN_JOBS_SUBSCRIPTIONS: 'not-there' });
    const { code, stdout } = await bare.imagen('worker');
    await bare.close();
    expect(code).toBe(1);
    expect(stdout).toMatch(/subscription not-there does not exist: run .*imagen setup/);
  });
});
