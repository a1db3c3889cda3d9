/** How many requests to Cloud Storage a job costs: the table of docs/scale.md, counted in front of the emulator. */
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createClient } from '../../src/client/index.js';
import { createScene, type Scene, showOnFailure } from '../support/scene.js';
import { countStorageRequests, type Requests } from '../support/storage-counter.js';

const page = readFileSync(new URL('../../docs/scale.md', import.meta.url), 'utf8');

/** A row of the table "Requests to Cloud Storage". */
function told(what: string): Requests {
  const row = page.split('\n').find((line) => line.startsWith(`| ${what} `)) ?? '';
  const [, , a, b] = row.split('|').map((cell) => cell.trim());
  expect(row, `docs/scale.md has no row "${what}"`).not.toBe('');
  return { a: Number(a), b: Number(b) };
}

const sum = (one: Requests, other: Requests): Requests => ({ a: one.a + other.a, b: one.b + other.b });

let scene: Scene;
let counter: Awaited<ReturnType<typeof countStorageRequests>>;

beforeAll(async () => {
  counter = await countStorageRequests(inject('stack').env.STORAGE_EMULATOR_HOST);
  scene = await createScene({ STORAGE_EMULATOR_HOST: counter.address });
});
afterAll(async () => {
  await scene.close();
  counter.close();
});

/** One color, so that no two pictures have the same bytes. */
const picture = (r: number): Promise<Buffer> =>
  sharp({ create: { width: 24, height: 16, channels: 3, background: { r, g: 90, b: 90 } } })
    .png()
    .toBuffer();

it('is what docs/scale.md says: for a new picture, its job, and a job in a group', async () => {
  const client = createClient({ env: scene.env });
  counter.take();
  const input = await picture(1);
  const { jobId } = await client.submit({ input, name: '1.png', operations: ['echo'] });
  expect(counter.take()).toEqual(told('a new picture, submitted'));
  await client.close();

  const worker = await scene.startWorker();
  showOnFailure(worker);
  await scene.completions(1, jobId); // by then the worker has looked at its buckets
  const uri = await scene.upload('2.png', await picture(2));
  const job = { schemaVersion: 1, operations: ['echo'], input: { uri } };
  counter.take();
  await scene.publish({ ...job, jobId: 'alone' });
  await scene.completions(1, 'alone');
  const ofJob = told('a job, first delivery');
  expect(counter.take()).toEqual(ofJob);

  await scene.publish({ ...job, jobId: 'with-others', group: { id: 'album', total: 2 } });
  await scene.completions(1, 'with-others');
  // It is counted in its group after its own completion.
  let counted: Requests = { a: 0, b: 0 };
  const ofEnd = told('its end in a group with a total, at least');
  await expect.poll(() => (counted = sum(counted, counter.take())), { timeout: 10_000 }).toEqual(sum(ofJob, ofEnd));
});
