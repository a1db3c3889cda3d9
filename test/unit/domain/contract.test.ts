import { describe, expect, it } from 'vitest';
import { capacityOf } from '../../../src/domain/capacity.js';
import { type ModelDescription, smallestRequest } from '../../../src/domain/contract.js';
import { readContract } from '../../../src/domain/examine-contract.js';

const tensor = (name: string, datatype: string, dims: number[], optional = false) => ({
  name,
  datatype,
  dims,
  optional,
});
const description = (
  more: Partial<ModelDescription> = {},
  parameters: Record<string, string> = {},
): ModelDescription => ({
  model: 'm',
  maxBatchSize: 8,
  instances: 1,
  batcher: { delayMs: 0, prefetches: true },
  inputs: [tensor('image', 'UINT8', [-1, -1, 3])],
  outputs: [tensor('image', 'UINT8', [-1, -1, 3])],
  parameters: {
    'imagen.plans': '["tile","whole"]',
    'imagen.tile_sizes': '[256,128]',
    'imagen.margin': '18',
    ...parameters,
  },
  readyVersions: ['2', '10', '1'],
  ...more,
});

describe('readContract', () => {
  it('reads keys and fills in defaults', () => {
    const contract = readContract(description());
    expect([...contract.versions.keys()]).toEqual(['1', '2', '10']);
    expect(contract.versions.get('1')).toEqual({
      plans: ['tile', 'whole'],
      tileSizes: [128, 256],
      margin: 18,
      border: 'pad',
      seamTolerance: 1,
      maxWholePixels: 1_048_576,
      fitMode: 'letterbox',
      fitFill: [0, 0, 0],
      scale: 1,
      parameters: {},
    });
    expect(capacityOf(contract)).toEqual({
      inFlight: 16,
      batch: 8,
      instances: 1,
      runs: 2,
      growMs: Infinity,
      pauseMs: 0,
    });
    const choosing = { ...contract, instances: 2, batcher: { delayMs: 5, prefetches: false } };
    expect(capacityOf(choosing)).toEqual({ inFlight: 32, batch: 8, instances: 2, runs: 2, growMs: 2.5, pauseMs: 4 });
  });

  it('lets one version differ', () => {
    const { versions } = readContract(description({}, { 'imagen.v2.margin': '32' }));
    expect(versions.get('1')?.margin).toBe(18);
    expect(versions.get('2')?.margin).toBe(32);
  });

  it.each<[string, ModelDescription, RegExp]>([
    ['no plans', description({ parameters: {} }), /model m: imagen\.plans: expected .*given nothing/],
    [
      'plans that are no JSON',
      description({}, { 'imagen.plans': 'tile' }),
      /imagen\.plans: expected JSON, given "tile"/,
    ],
    ['an unknown plan', description({}, { 'imagen.plans': '["crop"]' }), /imagen\.plans: .*given/],
    [
      'a negative margin',
      description({}, { 'imagen.margin': '-1' }),
      /imagen\.margin: expected a whole number, given "-1"/,
    ],
    [
      'tiles that are all margin',
      description({}, { 'imagen.margin': '64' }),
      /imagen\.tile_sizes: expected sizes above/,
    ],
    ['an unknown border', description({}, { 'imagen.border': 'mirror' }), /imagen\.border: .*given "mirror"/],
    [
      'a misspelt key',
      description({}, { 'imagen.margn': '3' }),
      /imagen\.margn: expected one of .*given an unknown key/,
    ],
    ['fit without a size', description({}, { 'imagen.plans': '["fit"]' }), /imagen\.fit_size: expected/],
    [
      'float pixels',
      description({ inputs: [tensor('image', 'FP32', [-1, -1, 3])] }),
      /input image: expected UINT8, given FP32/,
    ],
    [
      'planar pixels',
      description({ inputs: [tensor('image', 'UINT8', [3, -1, -1, 1])] }),
      /input image: expected dims/,
    ],
    ['no output', description({ outputs: [] }), /output image: expected a UINT8 tensor, given none/],
    [
      'a second required input',
      description({ inputs: [tensor('image', 'UINT8', [-1, -1, 3]), tensor('prompt', 'BYTES', [1])] }),
      /input prompt/,
    ],
    [
      'a mask that is enlarged',
      description({ outputs: [tensor('mask', 'UINT8', [-1, -1, 1])] }, { 'imagen.scale': '2' }),
      /imagen\.scale: expected 1 for a model that gives a mask, given 2/,
    ],
    [
      'a frame that the tensor cannot hold',
      description(
        { inputs: [tensor('image', 'UINT8', [64, 64, 3])] },
        { 'imagen.plans': '["fit"]', 'imagen.fit_size': '32x32' },
      ),
      /imagen\.fit_size: expected input image's 64x64, given 32x32/,
    ],
    [
      'a frame out of all proportion',
      description({}, { 'imagen.plans': '["fit"]', 'imagen.fit_size': '100000x100000' }),
      /imagen\.fit_size: expected at most 67108864 pixels, given 100000x100000/,
    ],
    [
      'tiles that the tensor cannot hold',
      description({ inputs: [tensor('image', 'UINT8', [128, 128, 3])] }, { 'imagen.plans': '["tile"]' }),
      /imagen\.tile_sizes: expected input image's 128x128, given 256/,
    ],
    [
      'whole pictures in a tensor of one size',
      description({ inputs: [tensor('image', 'UINT8', [64, 64, 3])] }, { 'imagen.plans': '["whole"]' }),
      /imagen\.plans: expected no plan whole, because of input image's 64x64/,
    ],
    ['no ready version', description({ readyVersions: [] }), /versions: expected at least one ready version/],
  ])('refuses %s, naming model, key, expected and given', (_name, bad, message) => {
    expect(() => readContract(bad)).toThrow(message);
  });
});

describe('smallestRequest', () => {
  it.each([
    [{}, 128],
    [{ 'imagen.plans': '["fit"]', 'imagen.fit_size': '320x320' }, 320],
    [{ 'imagen.plans': '["whole"]' }, 64],
    [{ 'imagen.plans': '["whole"]', 'imagen.max_whole_pixels': '100' }, 10],
  ])('is what the contract permits: %j', (parameters, side) => {
    const contract = readContract(description({}, parameters));
    expect(smallestRequest(contract, '1')).toEqual({ width: side, height: side });
  });
});
