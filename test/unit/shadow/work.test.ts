import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { CompletionOutput, Step } from '../../../src/domain/completion.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { NO_ROUTES } from '../../../src/domain/routes.js';
import { Dropped } from '../../../src/domain/shadow.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import type { PipelineOptions } from '../../../src/pipeline/job-state.js';
import { type Shadow, shadowsOf } from '../../../src/shadow/plan.js';
import { listReports, readReport } from '../../../src/shadow/reports.js';
import { workOn } from '../../../src/shadow/work.js';
import { memoryModels } from '../../support/memory-models.js';
import { memoryStore } from '../../support/memory-store.js';

/*
 * What the real parts have no version for, or cannot be made to do at will: a version of another scale, memory that is
 * taken, storage that is away for one call. The rest is in test/e2e/shadow.test.ts.
 */

const tensor = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
const contract = readContract({
  ...{ model: 'twice', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
  ...{ inputs: [tensor], outputs: [tensor], readyVersions: ['1', '2', '3'] },
  parameters: { 'imagen.plans': '["whole"]', 'imagen.v2.scale': '2' },
});

/** Version 1 gives its input back, 2 doubles it, and 3 makes it a level darker. */
const models = memoryModels([contract], async ({ version, inputs: [image = expect.fail()] }) => {
  const [height = 0, width = 0] = image.shape;
  const scale = version === '2' ? 2 : 1;
  const picture = sharp(image.data, { raw: { width, height, channels: 3 } });
  const data = await picture
    .resize(width * scale, height * scale, { kernel: 'nearest' })
    .raw()
    .toBuffer();
  const darker = version === '3' ? data.map((level) => level - 1) : data;
  return createTensor('image', 'UINT8', [height * scale, width * scale, 3], Buffer.from(darker));
});

const pipeline: PipelineOptions = {
  ...{ maxInputPixels: 1_000_000, maxOutputPixels: 1_000_000 },
  predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
  reserve: () => Promise.resolve(() => undefined),
  codecs: () => atOnce,
  fetch: { allowedInputs: ['gs://in'], maxBytes: 1_000_000 },
  target: { outputPrefix: 'gs://out', allowedOutputs: [] },
  route: () => ({ routes: NO_ROUTES, waitMs: 0, patient: false }),
  endOf: () => Promise.resolve(undefined),
};
const never = new AbortController().signal;
const turns = {
  signal: never,
  schedule: ({ shape }, task) => task(shape, { apart: false, copies: 1 }),
  pause: () => Promise.resolve(),
} satisfies Parameters<typeof workOn>[3];

/** A job that version 1 has done, and its shadow on another version. */
async function setUp(version: string) {
  const memory = memoryStore();
  const rgb = Buffer.from(Array.from({ length: 40 * 30 * 3 }, (_, i) => 1 + ((i * 7) % 250)));
  const bytes = await sharp(rgb, { raw: { width: 40, height: 30, channels: 3 } })
    .png()
    .toBuffer();
  const create = (bucket: string, name: string) =>
    memory.store.create({ bucket, name }, bytes, { contentType: 'image/png', signal: never });
  const { info: input } = await create('in', 'a.png');
  const { info: result } = await create('out', 'a/result.png');
  const message = { jobId: 'a', operations: ['twice'], input: { uri: 'gs://in/a.png' } };
  const output: CompletionOutput = {
    ...{ uri: 'gs://out/a/result.png', generation: result.generation, contentType: 'image/png', bytes: bytes.length },
    ...{ width: 40, height: 30, crc32c: result.crc32c },
  };
  const steps: Step[] = [{ model: 'twice', servedVersion: '1', plan: 'whole', requests: 1 }];
  const done = {
    job: parseJob(Buffer.from(JSON.stringify(message))),
    completion: {
      ...{ schemaVersion: 1 as const, eventId: 'e', jobId: 'a', status: 'succeeded' as const, output, steps },
      input: { uri: 'gs://in/a.png', generation: input.generation },
    },
    inferenceSeconds: [0.5],
  };
  const [shadow = expect.fail('there is none')] = shadowsOf(done, () => version);
  const work = (of: Shadow = shadow, options: Partial<PipelineOptions> = {}) =>
    workOn(
      of,
      { models, store: memory.store },
      { prefix: 'gs://shadows/kept', worker: 'w', pipeline: { ...pipeline, ...options } },
      turns,
    );
  const stored = async () => {
    const reports = [];
    for await (const ref of listReports(memory.store, 'gs://shadows/kept', undefined, never)) {
      reports.push(await readReport(memory.store, ref, never));
    }
    return reports;
  };
  const kept = () => [...memory.objects.keys()].filter((uri) => uri.startsWith('gs://shadows/'));
  return { ...memory, shadow, work, stored, kept };
}

describe('the work of a shadow', () => {
  it('ends with a picture and a report, which are no new pictures for a bucket that notifies', async () => {
    const { work, stored, kept, objects } = await setUp('3');
    const report = await work();
    expect(report).toMatchObject({
      ...{ jobId: 'a', model: 'twice', version: '3', servedVersion: '1', result: 'compared', worker: 'w' },
      difference: { maxLevels: 1, meanLevels: 1, shareAbove8: 0 },
      seconds: { job: 0.5, shadow: expect.any(Number) as number },
      pictures: { job: 'gs://out/a/result.png', shadow: 'gs://shadows/kept/twice/3/a/result.png' },
    });
    expect(await stored()).toEqual([report]);
    const folder = 'gs://shadows/kept/twice/3/a';
    expect(kept()).toEqual([`${folder}/result.png`, `${folder}/report.json`]);
    for (const uri of kept()) expect(objects.get(uri)?.info.metadata).toEqual({ 'imagen-job-id': 'a' });
  });

  it('compares no pictures of two sizes', async () => {
    const { work, stored } = await setUp('2');
    const report = await work();
    expect(report).toMatchObject({
      result: 'size differs',
      sizes: { job: { width: 40, height: 30 }, shadow: { width: 80, height: 60 } },
    });
    expect(report).not.toHaveProperty('difference');
    expect(await stored()).toEqual([report]);
  });

  it('fails for a version that is not served, and the report says so', async () => {
    const { work, stored, shadow, kept } = await setUp('3');
    const operations = [{ model: 'twice', version: '9' }];
    const report = await work({ ...shadow, version: '9', job: { ...shadow.job, operations } });
    expect(report).toMatchObject({ result: 'failed', error: { code: 'UNKNOWN_VERSION', stage: 'route' } });
    expect(await stored()).toEqual([report]);
    expect(kept()).toEqual(['gs://shadows/kept/twice/9/a/report.json']);
  });

  it('fails, without a report, while storage is away', async () => {
    const { work, kept, fail } = await setUp('3');
    fail((operation, uri) => {
      if (uri.startsWith('gs://shadows')) throw new JobError('STORAGE_UNAVAILABLE', `no ${operation}`);
    });
    expect(await work()).toMatchObject({ result: 'failed', error: { code: 'STORAGE_UNAVAILABLE' } });
    expect(kept()).toEqual([]);
  });

  it('fails when the job’s own result is gone', async () => {
    const { work, objects } = await setUp('3');
    objects.delete('gs://out/a/result.png');
    expect(await work()).toMatchObject({
      result: 'failed',
      error: { message: expect.stringContaining('missing') as string },
    });
  });

  it('is dropped, and leaves no report, when there is no memory for its pictures', async () => {
    const { work, kept } = await setUp('3');
    const reserve = () => Promise.reject(new Dropped('memory'));
    await expect(work(undefined, { reserve })).rejects.toMatchObject({ reason: 'memory' });
    expect(kept()).toEqual([]);
  });

  it.each(['MODEL_OVERLOADED', 'WORKER_OVERLOADED'] as const)('is dropped, and has not failed, at %s', async (code) => {
    const { work, kept } = await setUp('3');
    const reserve = () => Promise.reject(new JobError(code, 'full'));
    await expect(work(undefined, { reserve })).rejects.toMatchObject({ reason: 'busy' });
    expect(kept()).toEqual([]);
  });

  it('has a report that a later try does not replace', async () => {
    const { work, stored, objects } = await setUp('3');
    const first = await work();
    objects.delete('gs://out/a/result.png');
    expect(await work()).toMatchObject({ result: 'failed' });
    expect(await stored()).toEqual([first]);
  });
});

describe('what is no report', () => {
  it('is told of', async () => {
    const { store } = memoryStore();
    const ref = { bucket: 'shadows', name: 'x/1/a/report.json' };
    expect(await readReport(store, ref, never)).toBeUndefined();
    await store.create(ref, Buffer.from('{"jobId":"a"}'), { contentType: '', signal: never });
    expect(await readReport(store, ref, never)).toBe(
      'gs://shadows/x/1/a/report.json: expected the report of a shadow, found something else',
    );
  });
});
