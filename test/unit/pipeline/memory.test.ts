import { describe, expect, it } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import type { OutputRequest } from '../../../src/domain/job.js';
import type { Header } from '../../../src/pipeline/decode.js';
import { memoryOf } from '../../../src/pipeline/memory.js';

const MP = 1e6;
const header = (more: Partial<Header> = {}): Header => ({
  ...{ width: 1000, height: 1000, format: 'jpeg', hasAlpha: false, turned: false, progressive: false, deep: false },
  ...more,
});
function step(scale: number, output: 'image' | 'mask' = 'image') {
  const tensor = (name: string, channels: number) => ({
    ...{ name, datatype: 'UINT8', optional: false },
    dims: [-1, -1, channels],
  });
  const model = readContract({
    ...{ model: 'm', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true }, readyVersions: ['1'] },
    inputs: [tensor('image', 3)],
    outputs: [tensor(output, output === 'mask' ? 1 : 3)],
    parameters: { 'imagen.plans': '["whole"]', 'imagen.scale': String(scale) },
  });
  return { model, contract: model.versions.get('1') ?? expect.fail() };
}

describe('memoryOf', () => {
  it.each<[string, Header, readonly ReturnType<typeof step>[], OutputRequest, number]>([
    // 3 in, 3 out, half a byte of the encoder.
    ['a plain picture', header(), [step(1)], {}, 6.5],
    ['a turned one, of which decoding takes less than the rest', header({ turned: true }), [step(1)], {}, 6.5],
    ['a progressive one', header({ progressive: true }), [step(1)], {}, 11],
    ['an interlaced one of 16 bits', header({ format: 'png', progressive: true, deep: true }), [step(1)], {}, 16],
    ['a turned one of 16 bits', header({ format: 'png', turned: true, deep: true, hasAlpha: true }), [step(1)], {}, 12],
    ['a WebP', header({ format: 'webp' }), [step(1)], { format: 'jpeg' }, 8],
    ['an AVIF of 8 bits', header({ format: 'avif' }), [step(1)], { format: 'jpeg' }, 23],
    ['an AVIF of 10', header({ format: 'avif', deep: true }), [step(1)], { format: 'jpeg' }, 29],
    ['a GIF', header({ format: 'gif' }), [step(1)], { format: 'jpeg' }, 11],
    ['a TIFF of large strips', header({ format: 'tiff', heldBytes: 5 * MP }), [step(1)], { format: 'jpeg' }, 8],
    // 3 and 16 times 3, and half a byte for each of 16.
    ['one that is enlarged', header(), [step(4)], {}, 3 + 48 + 8],
    ['one that is enlarged and then written as AVIF', header(), [step(4)], { format: 'avif' }, 3 + 48 + 16 * 36],
    ['one that is shrunk afterwards', header(), [step(1)], { maxWidth: 10 }, 6.5 + 4],
    [
      'a cut-out that is shrunk for a lossy file',
      header(),
      [step(1, 'mask')],
      { format: 'webp', maxWidth: 10 },
      3 + 4 + 5 + 4 + 8,
    ],
    // 4 in, 4 out, two for smaller copies of it; the encoder takes less than that.
    ['one with alpha', header({ format: 'png', hasAlpha: true }), [step(1)], {}, 10],
    ['a cut-out of one with alpha', header({ format: 'png', hasAlpha: true }), [step(1, 'mask')], {}, 4 + 4 + 4],
    ['a cut-out', header(), [step(1, 'mask')], { format: 'webp' }, 3 + 4 + 5],
    ['a chain, of which the last step is the largest', header(), [step(2), step(2)], {}, 12 + 48 + 8],
  ])('of %s', (_name, picture, steps, output, bytesPerPixel) => {
    expect(memoryOf(picture, steps, output) / MP).toBeCloseTo(bytesPerPixel, 6);
  });
});
