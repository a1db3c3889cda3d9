/** Many jobs at once share the memory of pixels, and none sees or spoils the pixels of another, whatever fails. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../scripts/lab/random.js';
import type { ModelContract } from '../../../src/domain/contract.js';
import { JobError } from '../../../src/domain/errors.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { type Job, parseJob } from '../../../src/domain/job.js';
import { acquirePixels } from '../../../src/domain/pixel-memory.js';
import type { InferenceRequest, ModelServer } from '../../../src/domain/ports.js';
import { parseRoutes } from '../../../src/domain/routes.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { JobContext } from '../../../src/pipeline/job-context.js';
import { JobState } from '../../../src/pipeline/job-state.js';
import { turboFor } from '../../../src/pipeline/jpeg/turbo.js';
import { localSteps, runSteps } from '../../../src/pipeline/run.js';
import { createCodecs } from '../../../src/scheduling/codecs.js';
import { createFairShare, type FairShare } from '../../../src/scheduling/fair-share.js';
import { memoryModels } from '../../support/memory-models.js';

const turbo = turboFor('auto') ?? expect.fail('libturbojpeg0 is missing: scripts/install-debian-packages.sh');
const PHOTO = readFileSync(join(import.meta.dirname, '../../fixtures/photos/coffee.jpg'));
const JOBS = 28;
/** Jobs at once: later ones take the memory of earlier ones. */
const AT_ONCE = 8;

const ROUTES = parseRoutes(
  JSON.stringify({
    models: {
      image: {
        default: '1',
        experiment: {
          ...{ name: 'x', guard: { maxFailureRatio: 1, minOperations: 1_000, windowSeconds: 60, maxSeconds: 0.1 } },
          arms: [
            { name: 'old', version: '1', weight: 1 },
            { name: 'new', version: '2', weight: 1 },
          ],
        },
      },
    },
  }),
);

function contractOf(model: string, output: 'image' | 'mask'): ModelContract {
  const tensor = (name: string, channels: number) => ({
    ...{ name, datatype: 'UINT8', dims: [-1, -1, channels], optional: false },
  });
  return readContract({
    ...{ model, maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
    ...{ inputs: [tensor('image', 3)], outputs: [tensor(output, output === 'image' ? 3 : 1)] },
    readyVersions: output === 'image' ? ['1', '2'] : ['1'],
    parameters: {
      'imagen.plans': '["whole","tile"]',
      ...{ 'imagen.tile_sizes': '[160,176]', 'imagen.margin': '8', 'imagen.border': 'repeat' },
      ...{ 'imagen.seam_tolerance': '0', 'imagen.max_whole_pixels': '90000' },
    },
  });
}

/** What becomes of a request, by chance. */
type Fate = 'answered' | 'failed' | 'refused' | 'out of memory' | 'unanswered' | 'silent';

const ERRORS: Readonly<Record<Exclude<Fate, 'answered' | 'silent'>, () => JobError>> = {
  failed: () => new JobError('INFERENCE_FAILED', 'no'),
  refused: () => new JobError('MODEL_OVERLOADED', 'no'),
  'out of memory': () => new JobError('INFERENCE_FAILED', 'no', { outOfMemory: true }),
  unanswered: () => new JobError('MODEL_UNAVAILABLE', 'no', { unanswered: 'late' }),
};

/**
 * A server that reads a request only when it answers it, also one that was given up meanwhile, and whose answers are in
 * memory that is used again, as those in shared memory are.
 */
function lateServer(fateOf: (request: InferenceRequest) => Fate, delayMs: () => number) {
  const seen = { spoiled: 0, fates: new Map<Fate, number>() };
  const reading: Promise<void>[] = [];
  const contracts = [contractOf('image', 'image'), contractOf('mask', 'mask')];
  const plain = memoryModels(contracts, async (request) => {
    const { inputs: [image = expect.fail()] } = request; // prettier-ignore
    const fate = fateOf(request);
    seen.fates.set(fate, (seen.fates.get(fate) ?? 0) + 1);
    const sent = Buffer.from(image.data);
    const late = sleep(fate === 'silent' ? 160 : delayMs());
    reading.push(late.then(() => void (seen.spoiled += sent.equals(image.data) ? 0 : 1)));
    await late;
    if (fate !== 'answered' && fate !== 'silent') throw ERRORS[fate]();
    return createTensor(request.output, 'UINT8', outputShape(request), computed(image.data, request.output));
  });
  const infer: ModelServer['infer'] = async (request, signal) => {
    const { version, output } = await plain.infer(request, signal);
    const data = acquirePixels(output.data.length);
    output.data.copy(data);
    return { version, output: { ...output, data } };
  };
  return { models: { ...plain, infer }, seen, ended: () => Promise.all(reading) };
}

function outputShape({ output, inputs }: InferenceRequest): readonly number[] {
  const [height = 0, width = 0] = inputs[0]?.shape ?? [];
  return [height, width, output === 'image' ? 3 : 1];
}

/** Each pixel by itself, so that the result is the same in any window. */
function computed(rgb: Buffer, output: string): Buffer {
  if (output === 'image') return Buffer.from(rgb.map((level) => 255 - (level >> 1)));
  return Buffer.from(Uint8Array.from({ length: rgb.length / 3 }, (_, i) => ((rgb[i * 3] ?? 0) > 128 ? 255 : 0)));
}

interface Work {
  readonly job: Job;
  readonly bytes: Buffer;
}

async function makeWork(number: number, chance: () => number): Promise<Work> {
  // Different sizes, for all of which the same memory is used.
  const [width, height] = [200 + Math.floor(chance() * 14), 170 + Math.floor(chance() * 6)];
  const kinds = [['image'], ['image', 'image'], ['image', 'image', 'image'], ['mask', 'image'], ['image', 'mask']];
  const operations = kinds[number % 20 < 19 ? number % 3 : 3 + (Math.floor(number / 20) % 2)] ?? [];
  const format = operations.includes('mask') ? 'png' : 'jpeg';
  const picture = sharp(PHOTO)
    .resize(width, height, { fit: 'fill' })
    .tint(`hsl(${number * 10},80%,50%)`);
  const bytes = await (number % 5 === 4 ? picture.ensureAlpha(0.6).png() : picture.jpeg()).toBuffer();
  const message = {
    ...{ jobId: `job-${number}`, operations, input: { uri: 'gs://in/a' } },
    output: { format, ...(format === 'jpeg' ? { background: '#ffffff' } : { keepHidden: number % 2 === 0 }) },
  };
  return { job: parseJob(Buffer.from(JSON.stringify(message))), bytes };
}

const createShare = () =>
  createFairShare({
    capacityOf: () => ({ inFlight: 16, batch: 8, instances: 1, runs: 4, growMs: 0, pauseMs: 0 }),
    costOf: () => DEFAULT_COST,
    retry: { unavailableMs: 200, failedAttempts: 4, maxDelayMs: 4 },
  });

async function render({ job, bytes }: Work, models: ModelServer, share: FairShare, signal: AbortSignal, arms: boolean) {
  const parts = { models, schedule: share.scheduler(job) };
  const state = new JobState(job, new JobContext(signal, 0), parts, {
    ...{ maxInputPixels: 1e6, maxOutputPixels: 1e6, reserve: () => Promise.resolve(() => undefined) },
    ...{ codecs: codecs.codecs, turbo, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 8 }) },
    route: () => ({ routes: ROUTES, waitMs: 0, stopped: () => false, ...(arms ? { key: job.jobId } : {}) }),
  });
  state.bytes = bytes;
  await runSteps(localSteps(job), state);
  return state.encoded.bytes;
}

async function endOf(result: Promise<Buffer>, alone: Buffer | undefined): Promise<'same' | 'other' | 'failed'> {
  try {
    return alone?.equals(await result) === true ? 'same' : 'other';
  } catch (thrown) {
    if (!(thrown instanceof JobError) || thrown.code === 'INTERNAL') throw thrown;
    return 'failed';
  }
}

const codecs = createCodecs(3);
const NEVER = new AbortController().signal;

describe('the memory of pixels, used by many jobs at once', () => {
  it('gives each job the result that it has alone, and spoils no request', async () => {
    const chance = seeded(16);
    const works = await Promise.all(Array.from({ length: JOBS }, (_, i) => makeWork(i, chance)));
    const quiet = lateServer(() => 'answered', () => 0); // prettier-ignore
    const alone: Buffer[] = [];
    for (const work of works) alone.push(await render(work, quiet.models, createShare(), NEVER, false));

    const fateOf = ({ version }: InferenceRequest): Fate => {
      const point = chance();
      if (version === '2' && point < 0.25) return 'silent';
      if (point < 0.35) return 'failed';
      if (point < 0.4) return 'refused';
      if (point < 0.5) return 'out of memory';
      return point < 0.55 ? 'unanswered' : 'answered';
    };
    const { models, seen, ended } = lateServer(fateOf, () => Math.floor(chance() * 4));
    const share = createShare();
    const ends: Awaited<ReturnType<typeof endOf>>[] = [];
    const waiting = works.entries();
    const takeOver = async () => {
      for (const [i, work] of waiting) {
        const limit = new AbortController();
        if (chance() < 0.15) setTimeout(() => limit.abort(new JobError('EXECUTION_TIMEOUT', 'late')), chance() * 30);
        ends.push(await endOf(render(work, models, share, limit.signal, true), alone[i]));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, takeOver));
    await ended();
    expect(ends).not.toContain('other');
    expect(ends.filter((end) => end === 'same').length).toBeGreaterThan(JOBS / 3);
    expect(seen.spoiled).toBe(0);
  });
});
