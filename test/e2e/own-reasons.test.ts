/** Faults from inside a part that still answers: no job may end for a reason that is not its own. */
import type { Message } from '@google-cloud/pubsub';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fingerprint } from '../../src/domain/fingerprint.js';
import { parseJob } from '../../src/domain/job.js';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const picture = (background: string) =>
  sharp({ create: { width: 24, height: 16, channels: 3, background } })
    .png()
    .toBuffer();

let scene: Scene;
beforeEach(async () => {
  scene = await createScene();
});
afterEach(() => scene.close());

async function startWorker(extra: Readonly<Record<string, string>> = {}) {
  const worker = await scene.startWorker(extra);
  showOnFailure(worker);
  return worker;
}

describe('a picture that makes its model raise', () => {
  it('fails alone, although it fails every batch that it is in, of two workers', async () => {
    const [good, bad] = [
      await scene.upload('good.png', await picture('#345')),
      await scene.upload('bad.png', await picture('#f00')),
    ];
    const ids = Array.from({ length: 48 }, (_, i) => (i % 8 === 3 ? `bad-${i}` : `good-${i}`));
    await Promise.all(
      ids.map((jobId) =>
        scene.publish({ jobId, operations: ['picky'], input: { uri: jobId.startsWith('bad') ? bad : good } }),
      ),
    );
    await Promise.all([startWorker({ IMAGEN_MAX_JOBS: '16' }), startWorker({ IMAGEN_MAX_JOBS: '16' })]);
    await scene.completions(ids.length);
    const wrong = scene.published.filter(({ completion: { jobId = '', status, error } }) =>
      jobId.startsWith('bad') ? error?.code !== 'INFERENCE_FAILED' : status !== 'succeeded',
    );
    expect(wrong).toEqual([]);
    expect(scene.published.filter(({ completion }) => completion.status === 'failed')).toHaveLength(6);
  });
});

describe('a jobs topic that was deleted and made again', () => {
  it('takes no job with it that would be put back', async () => {
    const uri = await scene.upload('a.png', await picture('#345'));
    const bucket = `late-${scene.id}`;
    const env = { IMAGEN_MAX_JOBS: '2', IMAGEN_ALLOWED_OUTPUTS: `gs://${bucket}` };
    const worker = await startWorker(env);
    await until(async () => (await worker.metric('imagen_bucket_unavailable', { bucket })) === 1, 10_000);
    const ids = Array.from({ length: 8 }, (_, i) => `topic-${i}`);
    const output = { prefix: `gs://${bucket}/` };
    for (const jobId of ids) await scene.publish({ jobId, operations: ['echo'], input: { uri }, output });
    await until(async () => (await worker.metric('imagen_jobs_parked')) > 0, 20_000);
    // The subscription stays with the topic that is gone, so a copy in the new one reaches nobody.
    await scene.pubsub.topic(scene.env.IMAGEN_JOBS_TOPIC).delete();
    await scene.pubsub.createTopic(scene.env.IMAGEN_JOBS_TOPIC);
    await until(() => worker.log().includes('belongs to _deleted-topic_'), 30_000);

    await scene.storage.createBucket(bucket);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
    const next = await startWorker(env);
    await until(() => next.log().includes('belongs to _deleted-topic_'), 10_000);
    const ended = () => new Set(scene.published.map(({ completion }) => completion.jobId));
    await until(
      () => ids.every((jobId) => ended().has(jobId)),
      60_000,
      () => [...ended()].join(' '),
    );
    expect(scene.published.filter(({ completion }) => completion.status !== 'succeeded')).toEqual([]);
  }, 150_000);
});

describe('completions that are refused', () => {
  it('are all told when their topic is back, and meanwhile nothing is begun or spent', async () => {
    const topic = scene.pubsub.topic(scene.env.IMAGEN_COMPLETIONS_TOPIC);
    await topic.delete();
    const uri = await scene.upload('a.png', await picture('#345'));
    const worker = await startWorker({ IMAGEN_MAX_JOBS: '2' });
    const before = await scene.inferences('echo');
    for (let i = 0; i < 12; i++) await scene.publish({ jobId: `held-${i}`, operations: ['echo'], input: { uri } });
    await until(async () => (await worker.metric('imagen_intake_paused', { reason: 'completions' })) === 1, 20_000);
    await until(async () => (await worker.metric('imagen_jobs_active')) === 0, 10_000);
    const begun = (await scene.inferences('echo')) - before;
    expect(begun).toBeLessThan(12);
    expect((await fetch(`http://127.0.0.1:${worker.port}/readyz`)).status).toBe(503);
    // Three extensions of each take longer than a lease: what is held must not come again.
    const extensions = async () =>
      (await worker.metric('imagen_lease_extensions_total')) / (await worker.metric('imagen_deliveries_total'));
    await until(async () => (await extensions()) >= 3, 40_000);
    expect((await scene.inferences('echo')) - before).toBe(begun);
    expect(await worker.metric('imagen_redeliveries_total')).toBe(0);

    const bodies: string[] = [];
    // What is published before there is a subscription is lost, so the worker rests until there is one.
    worker.signal('SIGSTOP');
    await scene.pubsub.createTopic(scene.env.IMAGEN_COMPLETIONS_TOPIC);
    const [reader] = await topic.createSubscription(`later-${scene.id}`);
    worker.signal('SIGCONT');
    reader.on('message', (message: Message) => {
      bodies.push(message.data.toString());
      message.ack();
    });
    const told = () => bodies.map((body) => JSON.parse(body) as { jobId: string; status: string; attempt: number });
    await until(
      () => new Set(told().map(({ jobId }) => jobId)).size === 12,
      40_000,
      () => bodies.join('\n'),
    );
    expect(told().filter(({ status, attempt }) => status !== 'succeeded' || attempt !== 1)).toEqual([]);
    expect(await worker.metric('imagen_given_back_total')).toBe(0);
    expect((await scene.inferences('echo')) - before).toBe(12);
  });
});

describe('a record of another version', () => {
  it('is repeated byte for byte, and not contradicted', async () => {
    const message = { jobId: 'decided', operations: ['echo'], input: { uri: 'gs://gone/a.png' } };
    const completion = {
      schemaVersion: 1,
      eventId: 'f'.repeat(32),
      jobId: 'decided',
      status: 'failed',
      error: { code: 'TOO_NEW', stage: 'later', retryable: false, message: 'decided by a newer worker', hint: '?' },
      novelty: [1, { b: 2, a: 1 }],
    };
    const record = { fingerprint: fingerprint(parseJob(Buffer.from(JSON.stringify(message)))), completion, more: 1 };
    await scene.state.file('records/decided.json').save(JSON.stringify(record), { resumable: false });

    const bodies: string[] = [];
    const topic = scene.pubsub.topic(scene.env.IMAGEN_COMPLETIONS_TOPIC);
    const [reader] = await topic.createSubscription(`raw-${scene.id}`);
    reader.on('message', (received: Message) => {
      bodies.push(received.data.toString());
      received.ack();
    });
    // The scene's own reader knows only this version's completions.
    scene.reader.removeAllListeners('message');
    await startWorker();
    await scene.publish(message);
    await scene.publish(message);
    await until(() => bodies.length === 2, 20_000);
    expect(bodies).toEqual([JSON.stringify(completion), JSON.stringify(completion)]);
  });
});

describe('a bucket that is missing', () => {
  it('is known before anything is computed, and jobs that need it go on when it is there', async () => {
    const uri = await scene.upload('a.png', await picture('#345'));
    const missing = `missing-${scene.id}`;
    const worker = await startWorker({ IMAGEN_ALLOWED_OUTPUTS: `gs://${missing},${scene.env.IMAGEN_ALLOWED_OUTPUTS}` });
    await until(async () => (await worker.metric('imagen_bucket_unavailable', { bucket: missing })) === 1, 10_000);
    const before = await scene.inferences('echo');
    const job = { operations: ['echo'], input: { uri } };
    await scene.publish({ ...job, jobId: 'waits', output: { prefix: `gs://${missing}/` } });
    await scene.publish({ ...job, jobId: 'passes' });
    await scene.completions(1, 'passes');
    await until(async () => (await worker.metric('imagen_jobs_parked')) === 1, 10_000);
    expect((await scene.inferences('echo')) - before).toBe(1);
    await until(() => worker.log().includes(`${missing} (create)`), 10_000);

    await scene.storage.createBucket(missing);
    const [{ completion } = expect.fail()] = await scene.completions(1, 'waits');
    expect(completion).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect((await scene.inferences('echo')) - before).toBe(2);
  });
});

describe('a job that ends the process of its model each time', () => {
  it('ends alone after its attempts, and the others go on when the model is back', async () => {
    const uri = await scene.upload('a.png', await picture('#345'));
    const worker = await startWorker({ IMAGEN_MAX_ATTEMPTS: '3', IMAGEN_MODEL_WAIT_SECONDS: '2' });
    const job = (jobId: string, how?: string) => ({
      jobId,
      operations: [{ model: 'mortal', parameters: how === undefined ? { ms: 50 } : { how } }],
      input: { uri },
    });
    const good = Array.from({ length: 6 }, (_, i) => `good-${i}`);
    await scene.publish(job('killer', 'die'));
    await Promise.all(good.map((jobId) => scene.publish(job(jobId))));
    await scene.completions(1 + good.length, undefined, 90_000);
    const ends = new Map(scene.published.map(({ completion }) => [completion.jobId, completion]));
    expect(ends.get('killer')).toMatchObject({
      status: 'failed',
      error: {
        code: 'RETRIES_EXHAUSTED',
        message: expect.stringContaining('after 3 attempts: MODEL_UNAVAILABLE') as string,
      },
    });
    for (const jobId of good) expect(ends.get(jobId)).toMatchObject({ status: 'succeeded' });
    expect(await worker.metric('imagen_dead_letters_total')).toBe(1);
  }, 120_000);
});
