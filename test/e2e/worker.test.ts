import { readFileSync } from 'node:fs';
import type { Message } from '@google-cloud/pubsub';
import sharp from 'sharp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { scans } from '../support/hostile/scans.js';
import { openLane } from '../support/lane.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

const photo = (name: string) => readFileSync(new URL(`../fixtures/photos/${name}.jpg`, import.meta.url));
const OPERATIONS = [
  ['style_aged', 1],
  ['style_comic', 1],
  ['enhance', 1],
  ['background_remove', 1],
  ['upscale', 4],
] as const;

describe('the worker', () => {
  let scene: Scene;
  let worker: WorkerProcess;
  let small: Buffer;

  beforeAll(async () => {
    scene = await createScene();
    worker = await scene.startWorker();
    small = await sharp(photo('chelsea')).resize(160, 106).jpeg().toBuffer();
  });
  beforeEach(() => showOnFailure(worker));
  afterAll(() => scene.close());

  /** Reads a result back and looks at it as a stranger would. */
  async function result(uri: string) {
    const [bytes] = await scene.results.file(new URL(uri).pathname.slice(1)).download();
    return { bytes, metadata: await sharp(bytes).metadata(), stats: await sharp(bytes).stats() };
  }

  it.each(OPERATIONS)('does %s', async (operation, scale) => {
    const jobId = `op-${operation}`;
    const uri = await scene.upload(`${jobId}.jpg`, small);
    const asked = operation === 'upscale' ? { model: operation, version: '1' } : operation;
    await scene.publish({ jobId, operations: [asked], input: { uri }, metadata: { cart: 'abc' } });
    const [{ completion, attributes } = expect.fail()] = await scene.completions(1, jobId);
    expect(completion).toMatchObject({
      status: 'succeeded',
      jobId,
      attempt: 1,
      metadata: { cart: 'abc' },
      input: { uri, bytes: small.length, width: 160, height: 106 },
      steps: [{ model: operation, servedVersion: '1' }],
    });
    expect(attributes).toEqual({ jobId, status: 'succeeded', model: operation, schemaVersion: '1' });
    const { output = expect.fail() } = completion;
    const { bytes, metadata, stats } = await result(output.uri);
    expect(metadata).toMatchObject({ width: 160 * scale, height: 106 * scale });
    expect(output).toMatchObject({ width: 160 * scale, height: 106 * scale, bytes: bytes.length });
    // A background that was removed is transparent somewhere and opaque elsewhere, and PNG since JPEG has no alpha.
    expect(metadata.format).toBe(operation === 'background_remove' ? 'png' : 'jpeg');
    expect(stats.channels[0]?.stdev).toBeGreaterThan(10);
    if (operation === 'background_remove') expect(stats.channels[3]).toMatchObject({ min: 0, max: 255 });
  });

  it('tells what a step has cost, once it has measured the version', async () => {
    const uri = await scene.upload('cost.jpg', small);
    for (let i = 0; ; i++) {
      await scene.publish({ jobId: `cost-${i}`, operations: ['style_comic'], input: { uri } });
      const [{ completion } = expect.fail()] = await scene.completions(1, `cost-${i}`);
      const [{ gpuMs } = expect.fail()] = completion.steps ?? [];
      if (gpuMs === undefined && i < 50) continue;
      expect(gpuMs).toBeGreaterThan(0);
      expect(gpuMs).toBeLessThan(10_000);
      return;
    }
  });

  it('runs several operations of one job one after another', async () => {
    const uri = await scene.upload('chain.jpg', small);
    await scene.publish({
      jobId: 'chain',
      operations: ['background_remove', { model: 'upscale', version: '1' }],
      input: { uri },
      output: { format: 'webp', quality: 90 },
    });
    const [{ completion } = expect.fail()] = await scene.completions(1, 'chain');
    expect(completion.steps?.map(({ model }) => model)).toEqual(['background_remove', 'upscale']);
    const { metadata } = await result(completion.output?.uri ?? '');
    expect(metadata).toMatchObject({ format: 'webp', width: 640, height: 424, hasAlpha: true });
  });

  it('gives the mask alone, and shrinks what it is asked to shrink', async () => {
    const uri = await scene.upload('mask.jpg', small);
    const output = { maskOnly: true, maxWidth: 80, format: 'png' };
    await scene.publish({ jobId: 'mask', operations: ['background_remove'], input: { uri }, output });
    const [{ completion } = expect.fail()] = await scene.completions(1, 'mask');
    expect((await result(completion.output?.uri ?? '')).metadata).toMatchObject({ width: 80, height: 53, channels: 1 });
  });

  it('keeps the record of how a job ended, equal to what it published', async () => {
    const [{ completion } = expect.fail()] = await scene.completions(1, 'op-style_aged');
    const [bytes] = await scene.state.file('records/op-style_aged.json').download();
    const record = JSON.parse(bytes.toString()) as { fingerprint: string; completion: unknown };
    expect(record.completion).toEqual(completion);
    expect(record.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  describe('given bad input', () => {
    const job = (name: string, more: object = {}) => ({
      jobId: name,
      operations: ['style_aged'],
      input: { uri: `gs://uploads-${scene.id}/${name}` },
      ...more,
    });
    const truncated = () => small.subarray(0, Math.floor(small.length * 0.6));

    it.each<[string, string, () => Promise<unknown>]>([
      ['bad-unknown-field', 'INVALID_MESSAGE', () => scene.publish({ ...job('bad-unknown-field'), colour: 'red' })],
      ['bad-schema', 'UNSUPPORTED_SCHEMA', () => scene.publish({ ...job('bad-schema'), schemaVersion: 9 })],
      ['bad-operation', 'UNKNOWN_MODEL', () => scene.publish(job('bad-operation', { operations: ['paint_it_black'] }))],
      [
        'bad-version',
        'UNKNOWN_VERSION',
        () => scene.publish(job('bad-version', { operations: [{ model: 'upscale', version: '99' }] })),
      ],
      [
        'bad-parameter',
        'INVALID_PARAMETERS',
        () =>
          scene.publish(
            job('bad-parameter', { operations: [{ model: 'upscale', version: '1', parameters: { nonsense: 1 } }] }),
          ),
      ],
      ['bad-missing', 'INPUT_NOT_FOUND', () => scene.publish(job('bad-missing'))],
      [
        'bad-forbidden',
        'INPUT_FORBIDDEN',
        () => scene.publish(job('bad-forbidden', { input: { uri: `gs://state-${scene.id}/records/chain.json` } })),
      ],
      [
        'bad-output',
        'OUTPUT_FORBIDDEN',
        () => scene.publish(job('bad-output', { output: { uri: `gs://uploads-${scene.id}/x.png` } })),
      ],
      [
        'bad-expired',
        'DEADLINE_EXCEEDED',
        () => scene.publish(job('bad-expired', { deadline: '2020-01-01T00:00:00Z' })),
      ],
      [
        'bad-jpeg-alpha',
        'INVALID_PARAMETERS',
        async () => {
          await scene.upload('bad-jpeg-alpha', small);
          await scene.publish(job('bad-jpeg-alpha', { operations: ['background_remove'], output: { format: 'jpeg' } }));
        },
      ],
      [
        'bad-empty',
        'INPUT_EMPTY',
        async () => {
          await scene.upload('bad-empty', Buffer.alloc(0));
          await scene.publish(job('bad-empty'));
        },
      ],
      [
        'bad-text',
        'UNSUPPORTED_FORMAT',
        async () => {
          await scene.upload('bad-text', Buffer.from('I am a picture, honestly.'));
          await scene.publish(job('bad-text'));
        },
      ],
      [
        'bad-svg',
        'UNSUPPORTED_FORMAT',
        async () => {
          await scene.upload('bad-svg', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'));
          await scene.publish(job('bad-svg'));
        },
      ],
      [
        'bad-truncated',
        'INPUT_CORRUPT',
        async () => {
          await scene.upload('bad-truncated', truncated());
          await scene.publish(job('bad-truncated'));
        },
      ],
      [
        'bad-polyglot',
        'UNSUPPORTED_FORMAT',
        async () => {
          await scene.upload('bad-polyglot', Buffer.concat([Buffer.from('%PDF-1.4\n%%EOF\n'), small]));
          await scene.publish(job('bad-polyglot'));
        },
      ],
      [
        'bad-bomb',
        'INPUT_TOO_MANY_PIXELS',
        async () => {
          await scene.upload('bad-bomb', scans(10_000, 10_000, 4, 63));
          await scene.publish(job('bad-bomb'));
        },
      ],
      [
        'bad-too-large',
        'OUTPUT_TOO_LARGE',
        async () => {
          const wide = await sharp({ create: { width: 5000, height: 4, channels: 3, background: '#888' } })
            .png()
            .toBuffer();
          await scene.upload('bad-too-large', wide);
          const operations = [{ model: 'upscale', version: '1' }];
          await scene.publish(job('bad-too-large', { operations, output: { format: 'webp' } }));
        },
      ],
      [
        'bad-taken',
        'OUTPUT_EXISTS',
        async () => {
          const [{ completion } = expect.fail()] = await scene.completions(1, 'op-style_aged');
          await scene.upload('bad-taken', small);
          await scene.publish(
            job('bad-taken', { operations: ['style_comic'], output: { uri: completion.output?.uri } }),
          );
        },
      ],
    ])('%s ends as %s', async (jobId, code, publish) => {
      await publish();
      const [{ completion, attributes } = expect.fail()] = await scene.completions(1, jobId);
      expect(completion).toMatchObject({
        status: code === 'DEADLINE_EXCEEDED' ? 'expired' : 'failed',
        error: { code, retryable: false },
      });
      expect(completion.error?.message.length).toBeGreaterThan(5);
      expect(attributes.errorCode).toBe(code);
    });

    it.each<[string, readonly unknown[]]>([
      ['of the first operation', [{ model: 'upscale', version: '1' }]],
      ['of a later operation', ['style_aged', { model: 'upscale', version: '1' }]],
    ])('ends before any inference when the result would be too large: %s', async (which, operations) => {
      const asked = async () => (await scene.inferences('style_aged')) + (await scene.inferences('upscale'));
      const before = await asked();
      const jobId = which.replaceAll(' ', '-');
      const side = 4200; // four times that is over IMAGEN_MAX_OUTPUT_PIXELS
      const large = await sharp({ create: { width: side, height: side, channels: 3, background: '#888' } })
        .png()
        .toBuffer();
      await scene.publish({ jobId, operations, input: { uri: await scene.upload(`${jobId}.png`, large) } });
      const [{ completion } = expect.fail()] = await scene.completions(1, jobId);
      expect(completion).toMatchObject({ status: 'failed', error: { code: 'OUTPUT_TOO_LARGE', stage: 'plan' } });
      expect(completion.steps ?? []).toEqual([]);
      expect(await asked()).toBe(before);
    });

    it('does not hand out the result of another job, even if it is the same', async () => {
      const uri = await scene.upload('rival.jpg', small);
      const output = { uri: `gs://results-${scene.id}/shared.png`, format: 'png' };
      const rival = { operations: ['style_aged'], input: { uri }, output };
      await scene.publish({ jobId: 'rival-1', ...rival });
      expect((await scene.completions(1, 'rival-1'))[0]?.completion.status).toBe('succeeded');
      await scene.publish({ jobId: 'rival-2', ...rival });
      expect((await scene.completions(1, 'rival-2'))[0]?.completion.error?.code).toBe('OUTPUT_EXISTS');
    });

    it('tells of a message without a readable id, and keeps it as a dead letter with the reason', async () => {
      const messageId = await scene.publishRaw('this is not JSON');
      await until(() => scene.published.some(({ completion }) => completion.messageId === messageId), 20_000);
      const found = scene.published.find(({ completion }) => completion.messageId === messageId);
      expect(found?.completion).toMatchObject({ status: 'failed', error: { code: 'INVALID_MESSAGE' } });
      expect(found?.completion.jobId).toBeUndefined();

      const letters: { data: string; errorCode: string | undefined }[] = [];
      const review = scene.pubsub.subscription(scene.env.IMAGEN_DEAD_LETTER_SUBSCRIPTION);
      review.on('message', (message) => {
        letters.push({ data: message.data.toString(), errorCode: message.attributes.errorCode });
        message.ack();
      });
      await until(
        () => letters.length >= 3,
        20_000,
        () => JSON.stringify(letters),
      );
      await review.close();
      expect(letters).toContainEqual({ data: 'this is not JSON', errorCode: 'INVALID_MESSAGE' });
      // The other two that could not be read; a job that is merely wrong is no dead letter.
      expect(letters.map(({ errorCode }) => errorCode).sort()).toEqual([
        'INVALID_MESSAGE',
        'INVALID_MESSAGE',
        'UNSUPPORTED_SCHEMA',
      ]);
    });

    it('is alive afterwards and serves the next job', async () => {
      const uri = await scene.upload('after.jpg', small);
      await scene.publish({ jobId: 'after', operations: ['style_aged'], input: { uri } });
      expect((await scene.completions(1, 'after'))[0]?.completion.status).toBe('succeeded');
      expect((await fetch(`http://127.0.0.1:${worker.port}/livez`)).status).toBe(200);
      expect((await fetch(`http://127.0.0.1:${worker.port}/readyz`)).status).toBe(200);
      expect(await worker.metric('imagen_jobs_total', { status: 'succeeded' })).toBeGreaterThan(5);
      expect(await worker.metric('imagen_jobs_total', { code: 'INPUT_CORRUPT' })).toBe(1);
    });
  });

  describe('given a job twice', () => {
    const message = async (jobId: string) => ({
      jobId,
      operations: ['style_comic'],
      input: { uri: await scene.upload(`${jobId}.jpg`, small) },
      output: { format: 'png' },
    });

    async function generations(jobId: string): Promise<unknown[]> {
      const [files] = await scene.results.getFiles({ prefix: `${jobId}/`, versions: true });
      return files.map(({ metadata }) => metadata.generation);
    }

    it('answers the second from the record: one inference, one result, one and the same body', async () => {
      const job = await message('again');
      const before = await scene.inferences('style_comic');
      await scene.publish(job);
      await scene.completions(1, 'again');
      await scene.publish(job);
      const [first, second] = await scene.completions(2, 'again');
      expect(second?.body).toBe(first?.body);
      expect(second?.attributes).toEqual(first?.attributes);
      expect(await generations('again')).toHaveLength(1);
      expect((await scene.inferences('style_comic')) - before).toBe(first?.completion.steps?.[0]?.requests);
    });

    it('does so also when both come at once', async () => {
      const job = await message('twins');
      const before = await scene.inferences('style_comic');
      await Promise.all([scene.publish(job), scene.publish(job), scene.publish(job)]);
      const bodies = (await scene.completions(3, 'twins')).map(({ body }) => body);
      expect(new Set(bodies).size).toBe(1);
      expect(await generations('twins')).toHaveLength(1);
      expect((await scene.inferences('style_comic')) - before).toBe(1);
    });

    it('keeps the first outcome although the input has changed since', async () => {
      const job = await message('changed');
      await scene.publish(job);
      const [first] = await scene.completions(1, 'changed');
      await scene.upload('changed.jpg', photo('rocket'));
      await scene.publish(job);
      const [, second] = await scene.completions(2, 'changed');
      expect(second?.body).toBe(first?.body);
      await scene.uploads.file('changed.jpg').delete();
      await scene.publish(job);
      const [, , third] = await scene.completions(3, 'changed');
      expect(third?.body).toBe(first?.body);
    });

    it('refuses the same id for another job, and leaves the first alone', async () => {
      const job = await message('reused');
      await scene.publish(job);
      const [first] = await scene.completions(1, 'reused');
      await scene.publish({ ...job, operations: ['style_aged'] });
      const [, second] = await scene.completions(2, 'reused');
      expect(second?.completion).toMatchObject({ status: 'failed', error: { code: 'JOB_ID_REUSED' } });
      expect(second?.completion.eventId).not.toBe(first?.completion.eventId);
      expect(await generations('reused')).toHaveLength(1);
      await scene.publish(job);
      const [, , third] = await scene.completions(3, 'reused');
      expect(third?.body).toBe(first?.body);
      // Each message is refused for itself: another one says another thing, and so is another event.
      await scene.publish({ ...job, operations: ['style_aged'], metadata: { other: true } });
      const [, , , fourth] = await scene.completions(4, 'reused');
      expect(fourth?.completion.error?.code).toBe('JOB_ID_REUSED');
      expect(fourth?.completion.eventId).not.toBe(second?.completion.eventId);
    });

    it('ends a job that was canceled before it came', async () => {
      const job = await message('unwanted');
      expect(await scene.imagen('cancel', 'unwanted', '--force')).toMatchObject({
        code: 0,
        stdout: 'unwanted: canceled\n',
      });
      await scene.publish(job);
      expect((await scene.completions(1, 'unwanted'))[0]?.completion.status).toBe('canceled');
      expect(await generations('unwanted')).toHaveLength(0);
      expect((await scene.imagen('cancel', 'again')).code).toBe(1);
    });
  });

  it('shows in its metrics what it has done', async () => {
    const moved = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
      expect(await worker.metric(name, labels), `${name} ${JSON.stringify(labels)}`).toBeGreaterThan(0);
    const served = { model: 'background_remove', version: '1' };
    const ended = { ...served, arm: 'default' };
    await moved('imagen_jobs_total', { ...ended, status: 'succeeded', code: '' });
    await moved('imagen_jobs_total', { model: 'style_comic', version: '1', status: 'failed', code: 'OUTPUT_EXISTS' });
    await moved('imagen_jobs_total', { model: 'unknown', version: 'unknown', code: 'UNKNOWN_MODEL' });
    await moved('imagen_jobs_total', { status: 'expired', code: 'DEADLINE_EXCEEDED' });
    await moved('imagen_job_duration_seconds_count', ended);
    for (const stage of ['queued', 'fetch', 'decode', 'inference', 'encode', 'store', 'publish']) {
      await moved('imagen_stage_duration_seconds_count', { stage });
      await moved('imagen_stage_duration_seconds_sum', { stage });
    }
    await moved('imagen_stage_duration_seconds_count', { stage: 'memory' }); // it may take less than a millisecond
    await moved('imagen_replays_total');
    await moved('imagen_dead_letters_total', { code: 'INVALID_MESSAGE' });
    await moved('imagen_dead_letters_total', { code: 'UNSUPPORTED_SCHEMA' });

    // One frame of 1024² for each picture of 160 x 106, of which 1024 x 678 are the picture: the jobs of it are all alike.
    const fit = { ...served, plan: 'fit' };
    const requests = await worker.metric('imagen_inference_requests_total', fit);
    expect(await worker.metric('imagen_inference_pixels_computed_total', fit)).toBe(requests * 1024 ** 2);
    const useful = (await worker.metric('imagen_inference_pixels_useful_total', fit)) / requests;
    expect([1024 * 678, 1024 ** 2]).toContain(useful);
    expect(await worker.metric('imagen_triton_round_trip_seconds_count', served)).toBe(requests);
    await moved('imagen_inference_in_flight_limit', served);
    await moved('imagen_planner_launch_seconds', served);

    await moved('imagen_triton_ready');
    await moved('imagen_model_ready', { model: 'upscale' });
    await moved('imagen_jobs_active_limit');
    await moved('imagen_decoded_bytes_limit');
    await moved('imagen_memory_limit_bytes');
    await moved('imagen_build_info');
    await moved('process_resident_memory_bytes');
    await moved('nodejs_eventloop_lag_p99_seconds');
    for (const name of [
      'imagen_intake_paused',
      'imagen_inference_waiting',
      'imagen_jobs_waiting',
      'imagen_leases_lost_total',
    ]) {
      expect(await worker.metric(name), name).toBe(0);
    }
    // As many deliveries as completions: here nothing came twice.
    expect(await worker.metric('imagen_deliveries_total')).toBe(scene.published.length);
    expect(await worker.metric('imagen_redeliveries_total')).toBe(0);
  });

  it('says in one line how a job has ended', () => {
    const line =
      worker
        .log()
        .split('\n')
        .find((one) => one.includes('"jobId":"op-background_remove"')) ?? '';
    expect(JSON.parse(line)).toMatchObject({
      ...{ severity: 'INFO', message: 'job ended', jobId: 'op-background_remove', status: 'succeeded', attempt: 1 },
      ...{ model: 'background_remove', version: '1', replay: false, worker: expect.any(String) as string },
      eventId: expect.any(String) as string,
      messageId: expect.any(String) as string,
      timingsMs: { inference: expect.any(Number) as number, publish: expect.any(Number) as number },
    });
    const failed = worker
      .log()
      .split('\n')
      .filter((one) => one.includes('"jobId":"bad-truncated"'));
    expect(failed).toHaveLength(1);
    expect(JSON.parse(failed[0] ?? '')).toMatchObject({ severity: 'WARNING', error: { code: 'INPUT_CORRUPT' } });
  });

  it('counts a delivery that is not the first', async () => {
    const lane = await openLane(scene, 'again');
    await lane.publish({
      jobId: 'returned',
      operations: ['style_aged'],
      input: { uri: await scene.upload('r.jpg', small) },
    });
    const somebodyElse = scene.pubsub.subscription(lane.subscription);
    await new Promise<void>((resolve) => {
      somebodyElse.once('message', (message: Message) => {
        message.nack();
        resolve();
      });
    });
    await somebodyElse.close();
    const second = await scene.startWorker({ IMAGEN_JOBS_SUBSCRIPTIONS: lane.subscription });
    showOnFailure(second);
    const [{ completion } = expect.fail()] = await scene.completions(1, 'returned');
    expect(completion).toMatchObject({ status: 'succeeded', attempt: 2 });
    expect(await second.metric('imagen_deliveries_total')).toBe(1);
    expect(await second.metric('imagen_redeliveries_total')).toBe(1);
  });

  it('takes up a result that an earlier attempt stored before it died', async () => {
    const uri = await scene.upload('crashed.jpg', small);
    const job = { jobId: 'crashed', operations: ['style_aged'], input: { uri }, output: { format: 'png' } };
    await scene.publish(job);
    const [first] = await scene.completions(1, 'crashed');
    // As if the worker had died between the result and the record.
    await scene.state.file('records/crashed.json').delete();
    await scene.publish(job);
    const [, second] = await scene.completions(2, 'crashed');
    expect(second?.completion.status).toBe('succeeded');
    expect(second?.completion.output).toEqual(first?.completion.output);
  });
});
