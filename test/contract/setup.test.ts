/** `imagen setup` on the real emulators: what it finds, says and does. Buckets' settings: test/unit/adapters/gcs-admin.test.ts. */
import { once } from 'node:events';
import type { Message } from '@google-cloud/pubsub';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/cli/index.js';
import { createScene, type Scene } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url).pathname;

describe('imagen setup', () => {
  let scene: Scene;
  let worker: string;
  const lines = (text: string) => text.split('\n').map((line) => line.trim());
  const lookAt = async (name: string) => (await scene.pubsub.subscription(name).getMetadata())[0];

  /** In this process, since most of what a run takes is its start; test/e2e/cli.test.ts runs it as a program. */
  async function imagen(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
    const said = { stdout: '', stderr: '' };
    const out = vi.spyOn(console, 'log').mockImplementation((text: string) => void (said.stdout += `${text}\n`));
    const err = vi.spyOn(console, 'error').mockImplementation((text: string) => void (said.stderr += `${text}\n`));
    try {
      const code = await run(['node', 'imagen', ...args], { ...scene.env, ...more });
      return { code, ...said };
    } finally {
      out.mockRestore();
      err.mockRestore();
    }
  }

  beforeAll(async () => {
    scene = await createScene();
    worker = scene.env.IMAGEN_JOBS_SUBSCRIPTIONS;
  });
  afterAll(() => scene.close());

  it('tells in a dry run what a first run would create, creates nothing, and exits with 3', async () => {
    const names = { IMAGEN_JOBS_TOPIC: `new-${scene.id}`, IMAGEN_JOBS_SUBSCRIPTIONS: `new-${scene.id}-w` };
    const { code, stdout } = await imagen(['setup', '--dry-run'], names);
    expect(lines(stdout)).toEqual(
      expect.arrayContaining([
        `topic        new-${scene.id}: would be created`,
        `subscription new-${scene.id}-w: would be created`,
        'ack deadline: 10 s',
        'retry after: 2 s to 600 s',
        'keeps messages: 7 days',
        'expires: never',
        '2 of 8 would change',
      ]),
    );
    expect(code).toBe(3);
    expect(await scene.pubsub.topic(`new-${scene.id}`).exists()).toEqual([false]);
  });

  it('has nothing to do after it has run', async () => {
    const { code, stdout } = await imagen(['setup', '--dry-run']);
    expect(lines(stdout)).toContain('nothing to do');
    expect(stdout).not.toContain('would be');
    expect(code).toBe(0);
  });

  it('finds what has drifted, says found and wanted, and mends that', async () => {
    await scene.pubsub.subscription(worker).setMetadata({
      ackDeadlineSeconds: 60,
      messageRetentionDuration: { seconds: 3600 },
      deadLetterPolicy: null,
    });
    await scene.pubsub.subscription(worker).setMetadata({ retryPolicy: { minimumBackoff: { seconds: 10 } } });
    const differences = [
      'ack deadline: 60 s → 10 s',
      `dead letters: nowhere → to projects/imagen-local/topics/${scene.env.IMAGEN_DEAD_LETTER_TOPIC} after 10 attempts`,
      'keeps messages: 3600 s → 7 days',
    ];
    const dry = await imagen(['setup', '--dry-run']);
    expect(dry.code).toBe(3);
    expect(lines(dry.stdout)).toEqual(
      expect.arrayContaining([`subscription ${worker}: would be updated`, ...differences, '1 of 8 would change']),
    );
    expect(dry.stdout).toMatch(/retry after: 10 s to \d+ s → 2 s to 600 s/);
    expect((await lookAt(worker)).ackDeadlineSeconds).toBe(60);

    const wet = await imagen(['setup']);
    expect(wet.code, wet.stderr).toBe(0);
    expect(lines(wet.stdout)).toEqual(expect.arrayContaining([`subscription ${worker}: updated`, ...differences]));
    expect(await lookAt(worker)).toMatchObject({
      ackDeadlineSeconds: 10,
      messageRetentionDuration: { seconds: '604800' },
      deadLetterPolicy: { maxDeliveryAttempts: 10 },
      retryPolicy: { minimumBackoff: { seconds: '2' }, maximumBackoff: { seconds: '600' } },
    });
    expect((await imagen(['setup', '--dry-run'])).code).toBe(0);
  });

  it('refuses to have jobs delivered twice, and changes nothing', async () => {
    const { code, stderr } = await imagen(['setup', '--per-model', 'upscale,style_comic']);
    expect(stderr).toMatch(new RegExp(`${worker} has no filter, so it takes every job that ${worker}-upscale, `));
    expect(stderr).toContain('nothing was changed');
    expect(code).toBe(1);
    expect(await scene.pubsub.subscription(`${worker}-upscale`).exists()).toEqual([false]);
  });

  it('makes filtered subscriptions beside it where one moves over, with the same policies', async () => {
    const args = ['setup', '--per-model', 'upscale,style_comic', '--allow-overlap'];
    const { code, stderr } = await imagen(args);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('warning: ');
    expect((await lookAt(`${worker}-upscale`)).filter).toBe('attributes.model = "upscale"');
    expect((await lookAt(`${worker}-style-comic`)).filter).toBe('attributes.model = "style_comic"');
    expect(await lookAt(`${worker}-others`)).toMatchObject({
      filter: 'NOT attributes.model = "upscale" AND NOT attributes.model = "style_comic"',
      ackDeadlineSeconds: 10,
      deadLetterPolicy: { maxDeliveryAttempts: 10 },
      expirationPolicy: { ttl: null },
    });
    expect((await imagen([...args, '--dry-run'])).code).toBe(0);
  });

  it('is content once the one that takes everything is gone, and does not make it again beside them', async () => {
    await scene.pubsub.subscription(worker).delete();
    const shared = await imagen(['setup', '--per-model', 'upscale,style_comic', '--dry-run']);
    expect(shared, shared.stderr).toMatchObject({ code: 0 });
    const plain = await imagen(['setup']);
    expect(plain.stderr).toContain(`${worker} has no filter`);
    expect(plain.code).toBe(1);
    expect(await scene.pubsub.subscription(worker).exists()).toEqual([false]);
  });

  it('says that a filter cannot change, and what to do', async () => {
    const { code, stderr } = await imagen(['setup', '--per-model', 'upscale', '--allow-overlap']);
    expect(stderr).toMatch(
      new RegExp(
        `subscription ${worker}-others has the filter NOT .*, wanted the filter NOT attributes.model = "upscale": Pub/Sub does not let a filter change`,
      ),
    );
    expect(code).toBe(1);
  });

  it('says that a subscription cannot change its topic', async () => {
    const taken = { IMAGEN_DEAD_LETTER_SUBSCRIPTION: `reader-${scene.id}` };
    const { code, stderr } = await imagen(['setup', '--allow-overlap'], taken);
    expect(stderr).toMatch(/reader-.* belongs to .*\/completions-.*, wanted dead-letters-/);
    expect(code).toBe(1);
  });

  it('takes the filtered ones by their names, with the filters that they have', async () => {
    const names = { IMAGEN_JOBS_SUBSCRIPTIONS: `${worker}-upscale=3,${worker}-others` };
    const { code, stdout, stderr } = await imagen(['setup', '--dry-run'], names);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('nothing to do');
  });

  it('can share out what imagen submit publishes: the attributes that filters go by are there', async () => {
    const [audit] = await scene.pubsub.topic(scene.env.IMAGEN_JOBS_TOPIC).createSubscription(`audit-${scene.id}`);
    const submitted = await imagen(['submit', photo, '-p', 'style_comic,upscale', '--priority', 'batch']);
    expect(submitted.code, submitted.stderr).toBe(0);
    const [message] = (await once(audit, 'message')) as [Message];
    message.ack();
    expect(message.attributes).toMatchObject({ model: 'style_comic', priority: 'batch' });
    await audit.close();
  });
});
