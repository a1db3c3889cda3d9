import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Completion } from '../../src/domain/completion.js';
import { createScene, type Scene, showOnFailure } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url).pathname;

describe('the command line', () => {
  let scene: Scene;
  let folder: string;

  beforeAll(async () => {
    scene = await createScene();
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

  it('shows the models and their contracts', async () => {
    const { code, stdout } = await scene.imagen('models');
    expect(code).toBe(0);
    for (const model of ['upscale', 'enhance', 'background_remove', 'style_comic', 'style_aged']) {
      expect(stdout).toContain(`${model}: `);
    }
  });

  it.each([
    ['a file that is not there', ['submit', '/nowhere.jpg', '-p', 'enhance'], /nowhere\.jpg: ENOENT/],
    ['a wrong option', ['submit', photo, '-p', 'enhance', '--quality', 'high'], /output\.quality/],
    ['no operation', ['process', photo, '-o', 'x.png'], /--operation/],
    ['an id that is none', ['cancel', '../x'], /not a job id/],
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
