import { describe, expect, it } from 'vitest';
import type { ModelDescription } from '../../../src/domain/contract.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { parseJob } from '../../../src/domain/job.js';
import { chooseShape, DEFAULT_COST, type Outlook } from '../../../src/pipeline/cost.js';
import type { Codec } from '../../../src/pipeline/codec.js';
import { chooseFormat, planJob } from '../../../src/pipeline/plan.js';
import { fit, letterbox } from '../../../src/pipeline/plans/fit.js';
import { createTensor } from '../../../src/domain/tensor.js';
import type { Routed } from '../../../src/pipeline/routed.js';

const image = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
const mask = { name: 'mask', datatype: 'UINT8', dims: [-1, -1, 1], optional: false };

function routed(
  model: string,
  parameters: Record<string, string>,
  outputs: ModelDescription['outputs'] = [image],
): Routed {
  const contract = readContract({
    model,
    maxBatchSize: 8,
    instances: 1,
    batcher: { delayMs: 0, prefetches: true },
    inputs: [image],
    outputs,
    parameters,
    readyVersions: ['1'],
  });
  const version = contract.versions.get('1') ?? expect.fail();
  return { operation: { model }, model: contract, version: '1', contract: version, parameters: {} };
}
const parametersOfTiles = {
  'imagen.plans': '["tile","whole"]',
  'imagen.tile_sizes': '[128,256]',
  'imagen.margin': '16',
};
const tiles = routed('tiles', parametersOfTiles);
const upscale = routed('upscale', {
  'imagen.plans': '["whole"]',
  'imagen.scale': '4',
  'imagen.max_whole_pixels': '1000000',
});
const small = routed('small', { 'imagen.plans': '["whole"]', 'imagen.max_whole_pixels': '1000' });
const cutOut = routed('cut', { 'imagen.plans': '["fit"]', 'imagen.fit_size': '64x64' }, [mask]);

function plan(steps: Routed[], width: number, height: number, output: object = {}, format: 'jpeg' | 'webp' = 'jpeg') {
  const message = {
    jobId: 'a',
    operations: steps.map(({ operation }) => operation.model),
    input: { uri: 'gs://in/a' },
    output,
  };
  const job = parseJob(Buffer.from(JSON.stringify(message)));
  const planned = planJob(job, { width, height }, steps, 10_000_000);
  return { ...planned, format: chooseFormat(job, { format, hasAlpha: false }, planned) };
}

describe('planJob', () => {
  it('predicts sizes through all steps', () => {
    expect(plan([upscale, tiles], 100, 50).size).toEqual({ width: 400, height: 200 });
    expect(plan([upscale], 100, 50, { maxWidth: 200 }).size).toEqual({ width: 200, height: 100 });
  });

  it('finds the shapes that a model permits', () => {
    expect(plan([tiles], 300, 300).steps[0]?.shapes).toEqual([
      { plan: 'tile', width: 128, height: 128, requests: 9, ownShape: true },
      { plan: 'tile', width: 176, height: 176, requests: 4, ownShape: true },
      // With a margin beyond its right and its lower border.
      { plan: 'whole', width: 316, height: 316, requests: 1, ownShape: true, mayGrow: true, runPixels: 1_048_576 },
    ]);
    expect(plan([tiles], 3000, 2000).steps[0]?.shapes).toEqual([
      { plan: 'tile', width: 128, height: 128, requests: 32 * 21, ownShape: true },
      { plan: 'tile', width: 248, height: 256, requests: 14 * 9, ownShape: true },
    ]);
    // Engines of fixed shapes get squares.
    const squares = routed('tiles', { ...parametersOfTiles, 'imagen.plans': '["tile"]' });
    expect(plan([squares], 300, 300).steps[0]?.shapes).toEqual([
      { plan: 'tile', width: 128, height: 128, requests: 9, ownShape: false },
      { plan: 'tile', width: 256, height: 256, requests: 4, ownShape: false },
    ]);
    // Who knows no tiles, or none that are exact, has not said that a border other than the image's is harmless.
    const alone = { plan: 'whole', width: 300, height: 300, requests: 1, ownShape: true, mayGrow: false };
    expect(plan([upscale], 300, 300).steps[0]?.shapes).toEqual([{ ...alone, runPixels: 1_000_000 }]);
    const inexact = routed('tiles', { ...parametersOfTiles, 'imagen.seam_tolerance': '5' });
    expect(plan([inexact], 300, 300).steps[0]?.shapes.at(-1)).toEqual({ ...alone, runPixels: 1_048_576 });
  });

  it('writes what has alpha in a format that has it', () => {
    expect(plan([tiles], 10, 10).format.extension).toBe('jpg');
    expect(plan([cutOut], 10, 10).format.extension).toBe('png');
    expect(plan([cutOut], 10, 10, {}, 'webp').format.extension).toBe('webp');
    expect(plan([cutOut], 10, 10, { format: 'jpeg', background: '#ffffff' }).format.extension).toBe('jpg');
    expect(plan([cutOut], 10, 10, { maskOnly: true }).format.extension).toBe('jpg');
  });

  it.each<[string, () => unknown, string, RegExp]>([
    [
      'an intermediate picture that is too large',
      () => plan([upscale, upscale], 250, 250),
      'OUTPUT_TOO_LARGE',
      /16000000|4000x4000/,
    ],
    [
      'a side that the format cannot hold',
      () => plan([upscale], 4200, 2, { format: 'webp' }),
      'OUTPUT_TOO_LARGE',
      /16383/,
    ],
    [
      'a side that libjpeg cannot write: 06-tall65520.png',
      () => plan([tiles], 8, 65_520, { format: 'jpeg' }),
      'OUTPUT_TOO_LARGE',
      /at most 65500 pixels a side, given 8x65520/,
    ],
    [
      'an image that no plan can take',
      () => plan([small], 40, 30),
      'OUTPUT_TOO_LARGE',
      /at most 1000 pixels, given 40x30/,
    ],
    ['alpha in a JPEG', () => plan([cutOut], 10, 10, { format: 'jpeg' }), 'INVALID_PARAMETERS', /output\.background/],
    [
      'a mask of something that gives none',
      () => plan([tiles], 10, 10, { maskOnly: true }),
      'INVALID_PARAMETERS',
      /maskOnly/,
    ],
  ])('refuses %s', (_name, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }));
  });
});

describe('chooseShape', () => {
  const choose = (step: Routed, width: number, height: number, more: Partial<Outlook> = {}) =>
    chooseShape(plan([step], width, height).steps[0]?.shapes ?? [], { ...DEFAULT_COST, jobsAtOnce: 1, ...more }, 8);

  it('sends small pictures whole and large ones in the tiles that cost least', () => {
    expect(choose(tiles, 300, 300)).toMatchObject({ plan: 'whole', requests: 1 });
    expect(choose(tiles, 3000, 2000)).toMatchObject({ plan: 'tile', width: 248 });
  });

  it('counts on other jobs only where requests have fixed shapes', () => {
    const dear = { fixed: 20 * 65_536, perPixel: 1, jobsAtOnce: 8 };
    expect(choose(tiles, 250, 250, dear)).toMatchObject({ plan: 'whole' });
    const tilesOnly = routed('tiles', { ...parametersOfTiles, 'imagen.plans': '["tile"]' });
    expect(choose(tilesOnly, 240, 240, dear)).toMatchObject({ plan: 'tile', width: 256 });
    expect(choose(tilesOnly, 240, 240, { ...dear, fixed: 1 })).toMatchObject({ plan: 'tile', width: 256 });
    expect(choose(tilesOnly, 130, 100, { ...dear, fixed: 1 })).toMatchObject({ plan: 'tile', width: 128 });
  });
});

describe('letterbox', () => {
  it.each([
    [
      { width: 200, height: 100 },
      { x: 0, y: 16, width: 64, height: 32 },
    ],
    [
      { width: 100, height: 200 },
      { x: 16, y: 0, width: 32, height: 64 },
    ],
    [
      { width: 1, height: 5000 },
      { x: 31, y: 0, width: 1, height: 64 },
    ],
    [
      { width: 8, height: 8 },
      { x: 0, y: 0, width: 64, height: 64 },
    ],
  ])('places %o', (picture, place) => expect(letterbox(picture, { width: 64, height: 64 })).toEqual(place));
});

describe('fit', () => {
  it('resizes in the slots for codecs, and never while its request has its turn', async () => {
    const steps: string[] = [];
    const codec: Codec = async (_costMs, compute) => {
      const done = await compute();
      steps.push('codec');
      return done;
    };
    const raster = { width: 30, height: 20, rgb: Buffer.alloc(30 * 20 * 3, 90) };
    const shape = { plan: 'fit', width: 64, height: 64, requests: 1 } as const;
    const answer = await fit.execute(
      raster,
      shape,
      cutOut.contract,
      1,
      async (cut, paste) => {
        const view = await cut(shape);
        expect(view.rgb).toHaveLength(64 * 64 * 3);
        steps.push('sent');
        paste(createTensor('mask', 'UINT8', [64, 64, 1], Buffer.alloc(64 * 64, 7)), shape);
      },
      codec,
    );
    expect(answer).toEqual({ width: 30, height: 20, channels: 1, data: Buffer.alloc(30 * 20, 7) });
    expect(steps).toEqual(['codec', 'sent', 'codec']);
  });
});
