/** Every function of the publisher's library on the real parts, with one worker. */
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, createClient, type Outcome, type Progress, type SubmitRequest } from '../../src/client/index.js';
import { createScene, type Scene, until, type WorkerProcess } from '../support/scene.js';

/** A small picture that no other test has. */
const picture = (shade: number) =>
  sharp({ create: { width: 24, height: 16, channels: 3, background: { r: shade, g: 80, b: 40 } } })
    .png()
    .toBuffer();
const operations = ['style_aged'];

describe('the client', () => {
  let scene: Scene;
  let worker: WorkerProcess;
  let client: Client;
  let folder: string;

  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MODEL_WAIT_SECONDS: '1' });
    worker = await scene.startWorker();
    folder = mkdtempSync(join(tmpdir(), 'imagen-client-'));
    client = createClient({ env: scene.env });
  });
  afterAll(async () => {
    await client.close();
    await scene.close();
    rmSync(folder, { recursive: true });
  });

  it('submits a file, waits for its record and downloads the result', async () => {
    const input = join(folder, 'red.png');
    writeFileSync(input, await picture(250));
    const uploads: string[] = [];
    const group = { id: 'colours', total: 4 };
    const request: SubmitRequest = { input, operations, output: { format: 'webp' }, metadata: { cart: 'abc' }, group };
    const submitted = await client.submit(request, { onUpload: (uri) => uploads.push(uri) });
    expect(submitted).toMatchObject({
      state: 'published',
      jobId: expect.stringMatching(/^red-[0-9a-f]{24}$/) as string,
    });
    expect(uploads).toEqual([`${scene.env.IMAGEN_UPLOAD_PREFIX}/${submitted.jobId}/red.png`]);
    const completion = await client.waitFor(submitted);
    expect(completion).toMatchObject({ status: 'succeeded', metadata: { cart: 'abc' }, group });
    const to = join(folder, 'deep/er/red.webp');
    const bytes = await client.download(completion, { to });
    expect(readFileSync(to)).toEqual(bytes);
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 24, height: 16 });
    // The same again is told at once, and nothing is published.
    expect(await client.submit(request)).toMatchObject({ state: 'ended before', completion });
    const { state, request: kept, submittedAt } = await client.status(submitted.jobId);
    expect([state, kept?.message, Date.parse(submittedAt ?? '') > 0]).toEqual(['ended', submitted.message, true]);
    expect(kept?.attributes).toEqual({ model: 'style_aged', priority: 'batch' });
  });

  it('waits for many jobs by their completions, and looks at each record twice', async () => {
    const subscriptions = async () => {
      const [all] = await scene.pubsub.topic(scene.env.IMAGEN_COMPLETIONS_TOPIC).getSubscriptions();
      return all.map(({ name }) => name).filter((name) => name.includes('imagen-watch-'));
    };
    const own = createClient({ env: scene.env });
    const bytes = await picture(33);
    const pauses = new Map<string, number>();
    const worked = await own.submit({ input: bytes, name: 'early.png', operations });
    await own.waitFor(worked);
    const waits = Array.from({ length: 20 }, (_, i) => {
      const jobId = `told-${i}`;
      const onPause = () => pauses.set(jobId, (pauses.get(jobId) ?? 0) + 1);
      return own.waitFor(jobId, { by: 'completions', onPause });
    });
    await until(() => pauses.size === 20, 10_000);
    expect(await subscriptions()).toHaveLength(1);
    for (let i = 0; i < 20; i++) {
      await scene.publish({ jobId: `told-${i}`, operations, input: { uri: worked.message.input.uri } });
    }
    expect((await Promise.all(waits)).map(({ jobId, status }) => `${jobId ?? ''} ${status}`)).toEqual(
      waits.map((_, i) => `told-${i} succeeded`),
    );
    expect([...pauses.values()]).toEqual(Array(20).fill(1));
    // One that has ended before needs no completion, and a wait that is given up leaves nothing.
    expect(await own.waitFor(worked, { by: 'completions' })).toMatchObject({ status: 'succeeded' });
    const never = own.waitFor('never', { by: 'completions', signal: AbortSignal.timeout(100) });
    await expect(never).rejects.toThrow('timeout');
    await own.close();
    expect(await subscriptions()).toEqual([]);
    const lost = createClient({ env: scene.env, completionsTopic: 'nowhere' });
    await expect(lost.waitFor('never', { by: 'completions' })).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    await lost.close();
  });

  it('submits bytes, a stream and an object, with attributes of the publisher', async () => {
    const bytes = await picture(10);
    const path = join(folder, 'stream.png');
    writeFileSync(path, await picture(20));
    const uri = await scene.upload('object.png', await picture(30));
    const inputs: SubmitRequest[] = [
      { input: bytes, name: 'bytes.png', operations, attributes: { tenant: 'x' } },
      { input: createReadStream(path), name: 'stream.png', operations },
      { input: uri, operations, jobId: 'object-1', output: { uri: `gs://results-${scene.id}/o.jpg`, quality: 80 } },
    ];
    const submitted = await Promise.all(inputs.map((request) => client.submit(request)));
    const ends = await Promise.all(submitted.map((job) => client.waitFor(job)));
    expect(ends.map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(ends[2]?.warnings).toEqual([
      'output.quality was not used: the result is png, which has none',
      'the name in output.uri says another format than that of the result, png',
    ]);
    expect((await client.status(submitted[0]?.jobId ?? '')).request?.attributes).toMatchObject({ tenant: 'x' });
    expect((await client.download('object-1')).length).toBeGreaterThan(100);
  });

  it('refuses what is wrong before it sends anything', async () => {
    const send = (request: Partial<SubmitRequest>) =>
      client.submit({ input: Buffer.from('x'), operations, ...request }).catch((error: unknown) => error);
    const path = (name: string, bytes: Buffer | string) => {
      writeFileSync(join(folder, name), bytes);
      return join(folder, name);
    };
    const small = createClient({ env: scene.env, maxInputBytes: 10 });
    expect(await send({ input: path('empty.png', '') })).toMatchObject({ code: 'INPUT_EMPTY' });
    expect(await send({ input: path('notes.jpg', 'Dear diary,\n') })).toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
      message: expect.stringMatching(/notes\.jpg: .*given text/) as string,
    });
    expect(await send({ input: path('a.bmp', 'BM6_______') })).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    expect(await send({ input: folder })).toMatchObject({ code: 'INPUT_UNREADABLE' });
    expect(await send({ input: join(folder, 'nowhere.png') })).toMatchObject({ code: 'INPUT_UNREADABLE' });
    expect(await send({ input: 'gs://in/../a' })).toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(await send({ input: await picture(1), output: { quality: 0 } })).toMatchObject({ code: 'INVALID_MESSAGE' });
    for (const input of [
      await picture(1),
      path('large.png', await picture(1)),
      createReadStream(path('l.png', 'x'.repeat(20))),
    ])
      await expect(small.submit({ input, operations })).rejects.toMatchObject({ code: 'INPUT_TOO_LARGE' });
    await small.close();
  });

  it('does not take the outcome of another job for that of a used id', async () => {
    const input = join(folder, 'used.png');
    writeFileSync(input, await picture(40));
    const first = await client.submit({ input, operations, jobId: 'used' });
    await client.waitFor(first);
    const reused = { code: 'JOB_ID_REUSED' };
    await expect(client.submit({ input, operations: ['style_comic'], jobId: 'used' })).rejects.toMatchObject(reused);
    writeFileSync(input, await picture(41)); // the same request with another picture
    await expect(client.submit({ input, operations, jobId: 'used' })).rejects.toMatchObject(reused);
    // A job whose record comes only after publishing.
    const other = { jobId: 'used', fingerprint: 'of another request' };
    await expect(client.waitFor(other)).rejects.toMatchObject(reused);
  });

  it('cancels what it knows, and asks before it cancels what it does not', async () => {
    const uri = await scene.upload('never.png', await picture(50));
    const client2 = createClient({ env: { ...scene.env, IMAGEN_JOBS_TOPIC: scene.env.IMAGEN_DEAD_LETTER_TOPIC } });
    const { jobId } = await client2.submit({ input: uri, operations, jobId: 'lost', group: { id: 'g' } }); // no worker gets it
    await client2.close();
    await expect(
      client.submit({ input: await picture(51), name: 'other.png', operations, jobId }),
    ).rejects.toMatchObject({
      code: 'JOB_ID_REUSED', // although its upload is a new one
    });
    expect(await client.status(jobId)).toMatchObject({ state: 'submitted', request: { message: { jobId } } });
    expect(await client.cancel(jobId)).toMatchObject({ state: 'canceled', completion: { group: { id: 'g' } } });
    expect(await client.status(jobId)).toMatchObject({ state: 'ended', request: { message: { jobId } } });
    await expect(client.download(jobId)).rejects.toMatchObject({ code: 'NO_RESULT' });

    expect(await client.cancel('typo')).toEqual({ state: 'unknown' });
    expect(await client.status('typo')).toEqual({ jobId: 'typo', state: 'unknown' });
    expect(await client.cancel('typo', { force: true })).toMatchObject({ state: 'canceled' });
    expect(await client.cancel('used')).toMatchObject({ state: 'ended before', completion: { status: 'succeeded' } });
    await expect(client.cancel('../x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('says what a repeated request asks for in vain, and gives the message that was published', async () => {
    const elsewhere = createClient({ env: { ...scene.env, IMAGEN_JOBS_TOPIC: scene.env.IMAGEN_DEAD_LETTER_TOPIC } });
    const request = { input: await picture(60), name: 'again.png', operations, metadata: { cart: 1 } };
    const changed = { ...request, metadata: { cart: 2 }, group: { id: 'late', total: 1 } };
    const first = await elsewhere.submit(request); // no worker gets it
    expect([first.state, first.ignored]).toEqual(['published', []]);
    const waiting = { message: first.message, state: 'submitted before', ignored: ['group', 'metadata'] };
    expect(await elsewhere.submit(changed)).toMatchObject(waiting);
    await elsewhere.close();
    const { message } = await client.submit(request, { republish: true });
    await client.waitFor(message.jobId);
    const ended = { message, state: 'ended before', ignored: ['group', 'metadata'] };
    expect(await client.submit(changed)).toMatchObject(ended);
    expect(await client.submit(request)).toMatchObject({ message, state: 'ended before', ignored: [] });
    // Within one call, too: the first of two equal requests is published.
    const pair = [61, 61].map(async (shade, n) => ({ ...request, input: await picture(shade), metadata: { n } }));
    const outcomes: Outcome[] = [];
    for await (const outcome of client.submitAll(await Promise.all(pair), { uploads: 1 })) outcomes.push(outcome);
    const submitted = outcomes.map((one) => (one.kind === 'ended' ? one.submitted : undefined));
    expect(submitted.map((one) => one?.ignored.join()).sort()).toEqual(['', 'metadata']);
    expect(submitted.map((one) => one?.message.metadata)).toEqual([{ n: 0 }, { n: 0 }]);
  });

  it('submits many and resumes them, each once', async () => {
    const bytes = await Promise.all(Array.from({ length: 12 }, (_, i) => picture(100 + i)));
    const requests = (): SubmitRequest[] => [
      ...bytes.map((input, i) => ({ input, name: `p${i}.png`, operations })),
      { input: bytes[0] ?? Buffer.alloc(0), name: 'p0.png', operations }, // once more
      { input: Buffer.from('plain text'), name: 'no.png', operations },
      { input: bytes[1] ?? Buffer.alloc(0), operations: ['no_such_model'] },
    ];
    const receivedBefore = await worker.metric('imagen_deliveries_total');
    const stop = new AbortController();
    const seen: Outcome[] = [];
    const interrupted = (async () => {
      for await (const outcome of client.submitAll(requests(), { signal: stop.signal, uploads: 2, window: 6 })) {
        seen.push(outcome);
        if (seen.length === 3) stop.abort(new Error('enough'));
      }
    })();
    await expect(interrupted).rejects.toThrow('enough');
    expect(seen.length).toBeLessThan(13);

    let progress: Progress | undefined;
    const outcomes: Outcome[] = [];
    for await (const outcome of client.submitAll(requests(), { onProgress: (now) => (progress = now) })) {
      outcomes.push(outcome);
    }
    expect(progress).toMatchObject({ taken: 15, refused: 1, succeeded: 13, failed: 1 });
    expect(progress?.before).toBeGreaterThanOrEqual(4);
    expect(outcomes.filter(({ kind }) => kind === 'refused')).toMatchObject([
      { error: { code: 'UNSUPPORTED_FORMAT' } },
    ]);
    // By the worker's own count: twelve pictures, and the one with another operation.
    const ended = new Set(outcomes.flatMap((one) => (one.kind === 'ended' ? [one.submitted.jobId] : [])));
    expect(ended.size).toBe(13);
    expect((await worker.metric('imagen_deliveries_total')) - receivedBefore).toBe(13);
  });

  it('reads no further than its window while nobody takes what it gives', async () => {
    let given = 0;
    function* endless() {
      for (;;) yield { input: Buffer.from(`text ${++given}`), operations };
    }
    const outcomes = client.submitAll(endless(), { window: 5, uploads: 3 });
    expect((await outcomes.next()).value).toMatchObject({ kind: 'refused' });
    await until(() => given >= 6, 5_000);
    expect(given).toBeLessThanOrEqual(6);
    await outcomes.return();
  });

  it('ends what waits when it is told to, and when it is closed', async () => {
    const waiting = client.waitFor('nobody', { signal: AbortSignal.timeout(50) });
    await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' });
    const other = createClient({ env: scene.env });
    let paused = false;
    const closed = other.waitFor('nobody', { onPause: () => (paused = true) });
    closed.catch(() => undefined);
    await until(() => paused, 5_000);
    await other.close();
    await expect(closed).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(other.status('used')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('says which topic is missing, and which settings', async () => {
    const bare = createClient({ env: scene.env, jobsTopic: 'no-such-topic' });
    const uri = `gs://uploads-${scene.id}/object.png`;
    await expect(bare.submit({ input: uri, operations, jobId: 'bare' })).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
      message: expect.stringMatching(/no topic no-such-topic .*imagen setup/) as string,
    });
    await bare.close();
    expect(() => createClient({ env: {} })).toThrow(/GOOGLE_CLOUD_PROJECT.*given nothing/);
    expect(existsSync(join(folder, 'deep/er/red.webp'))).toBe(true);
  });
});
