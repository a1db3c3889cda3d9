import { describe, expect, it } from 'vitest';
import type { ShadowReport } from '../../../src/domain/shadow.js';
import { summarise, worst } from '../../../src/shadow/summary.js';

const report = (jobId: string, more: Partial<ShadowReport> = {}): ShadowReport => ({
  ...{ jobId, model: 'upscale', version: '2', servedVersion: '1', result: 'compared', worker: 'w', time: '' },
  pictures: { job: `gs://out/${jobId}`, shadow: `gs://shadows/${jobId}` },
  ...more,
});
const compared = (jobId: string, meanLevels: number, similarity: number, seconds = { job: 1, shadow: 2 }) =>
  report(jobId, { difference: { meanLevels, maxLevels: meanLevels * 10, shareAbove8: 0.5, similarity }, seconds });
const failed = (jobId: string, code: string) =>
  report(jobId, { result: 'failed', error: { code, stage: 'infer', message: '' } });

describe('a summary', () => {
  it('has the figures of each version beside each that served', () => {
    const twenty = Array.from({ length: 20 }, (_, i) =>
      compared(`j${i}`, i + 1, 1 - i / 100, { job: 2, shadow: i < 10 ? 2 : 6 }),
    );
    const [first, ...others] = summarise([
      ...twenty,
      report('s', { result: 'size differs' }),
      failed('f', 'INFERENCE_FAILED'),
      failed('g', 'INFERENCE_FAILED'),
      { ...compared('h', 1, 1), servedVersion: '10' },
    ]);
    expect(first).toEqual({
      ...{ model: 'upscale', version: '2', servedVersion: '1', compared: 20, sizeDiffers: 1, failed: 2 },
      codes: { INFERENCE_FAILED: 2 },
      ...{ levels: { mean: 10.5, p95: 19 }, maxLevels: 200, shareAbove8: 0.5 },
      ...{ similarity: { mean: expect.closeTo(0.905, 6) as number, min: 0.81 }, timeRatio: 1 },
    });
    expect(others.map(({ servedVersion, compared }) => [servedVersion, compared])).toEqual([['10', 1]]);
  });

  it('has no figures where nothing was compared', () => {
    expect(summarise([failed('f', 'MODEL_UNAVAILABLE')])).toMatchObject([
      { failed: 1, levels: null, maxLevels: null, shareAbove8: null, similarity: null, timeRatio: null },
    ]);
    expect(summarise([])).toEqual([]);
  });
});

it('names the least similar first', () => {
  const all = [compared('a', 1, 0.99), compared('b', 1, 0.5), failed('c', 'INTERNAL'), compared('d', 1, 0.9)];
  expect(worst(all, 2).map(({ jobId }) => jobId)).toEqual(['b', 'd']);
});
