/** A bucket as front door: fake-gcs-server publishes the notifications of its objects, as Cloud Storage does. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { gcs } from '../../scripts/dev/parts/gcs.js';
import type { Context } from '../../scripts/dev/parts/part.js';
import { cacheDir } from '../../scripts/dev/stack/paths.js';
import { freePort } from '../../scripts/dev/stack/ports.js';
import { createScene, type Scene, until, type WorkerProcess } from '../support/scene.js';

const LIMIT_MS = 10_000;
const topic = `jobs-notified-${randomBytes(4).toString('hex')}`;
let scene: Scene;
let worker: WorkerProcess;
let stopStorage: () => Promise<unknown>;

beforeAll(async () => {
  const { env, ports, marker } = inject('stack');
  const port = await freePort();
  const spec = await gcs.start({ cache: cacheDir, ports: { ...ports, gcs: port } } as Context);
  const events = ['-event.pubsub-project-id', env.GOOGLE_CLOUD_PROJECT, '-event.pubsub-topic', topic];
  const server = spawn(spec.command, [...spec.args, ...events, '-event.list', 'finalize,delete,metadataUpdate'], {
    env: { ...process.env, ...marker, PUBSUB_EMULATOR_HOST: env.PUBSUB_EMULATOR_HOST },
    stdio: 'inherit',
  });
  stopStorage = () => {
    server.kill();
    return once(server, 'exit');
  };
  let ready = false;
  await until(() => {
    void spec.ready().then((now) => (ready = now));
    return ready;
  }, LIMIT_MS);
  const storage = `http://127.0.0.1:${port}`;
  scene = await createScene({ STORAGE_EMULATOR_HOST: storage, IMAGEN_JOBS_TOPIC: topic });
  worker = await scene.startWorker({ IMAGEN_ALLOWED_OUTPUTS: `gs://uploads-${scene.id}` });
});
afterAll(async () => {
  await scene.close();
  await stopStorage();
});

/** Stores an object with that job in its metadata. */
async function store(name: string, job: object | undefined, grey = 100): Promise<void> {
  const bytes = await sharp({ create: { width: 9, height: 9, channels: 3, background: { r: grey, g: 0, b: 0 } } })
    .png()
    .toBuffer();
  const metadata = job === undefined ? {} : { 'imagen-job': JSON.stringify(job) };
  await scene.uploads.file(name).save(bytes, { resumable: false, metadata: { metadata } });
}
const ignored = (reason: string) => worker.metric('imagen_notifications_ignored_total', { reason });
/** The results lie beside the inputs. */
const echo = () => ({ operations: ['echo'], output: { prefix: `gs://uploads-${scene.id}`, format: 'png' } });

it('works on the objects that name a job, under any name, and on nothing else', async () => {
  const names = ['a.png', 'folder/b c.png', 'ünï/çödé #1?.png', '100%.png'];
  for (const name of names) await store(name, echo());
  await store('not-for-us.png', undefined);
  const published = await scene.completions(names.length);
  expect(published.map(({ completion }) => [completion.status, completion.input?.uri]).sort()).toEqual(
    names.map((name) => ['succeeded', `gs://uploads-${scene.id}/${name}`]).sort(),
  );
  // Each result and each record has been told as well by now, or will be.
  await until(
    async () => (await ignored('a result')) === names.length && (await ignored('a record')) >= names.length,
    LIMIT_MS,
  );
  expect(await ignored('no job')).toBe(1);
  expect(scene.published).toHaveLength(names.length);
});

it('works on an object anew when it is overwritten, and not when it is deleted', async () => {
  const before = scene.published.length;
  await store('twice.png', echo(), 1);
  await scene.completions(before + 1);
  await store('twice.png', echo(), 2);
  const [first, second] = (await scene.completions(before + 2)).slice(before).map(({ completion }) => completion);
  expect(first?.jobId).not.toBe(second?.jobId);
  expect(first?.output?.uri).not.toBe(second?.output?.uri);
  const deleted = await ignored('no new object');
  await scene.uploads.file('twice.png').delete();
  await until(async () => (await ignored('no new object')) > deleted, LIMIT_MS);
  expect(scene.published).toHaveLength(before + 2);
});

it('answers an object whose job is wrong, with what is wrong', async () => {
  const before = scene.published.length;
  await store('wrong.png', { operations: [] });
  const [, ...all] = (await scene.completions(before + 1)).slice(before - 1);
  expect(all.map(({ completion }) => completion)).toMatchObject([
    { status: 'failed', error: { code: 'INVALID_MESSAGE', message: expect.stringContaining('operations') as string } },
  ]);
});
