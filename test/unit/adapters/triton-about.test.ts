import { expect, it } from 'vitest';
import { placementOf } from '../../../src/adapters/triton/about.js';

const group = (kind: 'KIND_AUTO' | 'KIND_GPU' | 'KIND_CPU' | 'KIND_MODEL', gpus: number[] = []) => ({
  count: 1,
  kind,
  gpus,
});

it.each([
  [[], { device: 'cpu', gpus: 0 }],
  [[group('KIND_CPU')], { device: 'cpu', gpus: 0 }],
  [[group('KIND_GPU', [0])], { device: 'gpu', gpus: 1 }],
  [[group('KIND_GPU', [0, 1]), group('KIND_GPU', [1])], { device: 'gpu', gpus: 2 }],
  [[group('KIND_CPU'), group('KIND_GPU', [3])], { device: 'gpu', gpus: 1 }],
  [[group('KIND_MODEL')], { device: 'model', gpus: 0 }],
  [[group('KIND_AUTO')], { device: 'auto', gpus: 0 }],
])('reads where instances run from %j', (instanceGroup, placement) =>
  expect(placementOf({ instanceGroup })).toEqual(placement),
);

it('takes a model without a configuration for one on a processor', () =>
  expect(placementOf(null)).toEqual({ device: 'cpu', gpus: 0 }));
