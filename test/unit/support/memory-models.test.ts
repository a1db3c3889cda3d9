import { describe, expect } from 'vitest';
import { readContract } from '../../../src/domain/examine-contract.js';
import { modelServerContract } from '../../support/contracts/model-server.js';
import { memoryModels } from '../../support/memory-models.js';

describe('ModelServer in memory', () => {
  const image = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
  const origin = { name: 'origin', datatype: 'INT32', dims: [4], optional: true };
  const echo = readContract({
    ...{ model: 'echo', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
    ...{ inputs: [image, origin], outputs: [image], readyVersions: ['1', '2'] },
    parameters: { 'imagen.plans': '["whole"]' },
  });
  const models = memoryModels([echo], ({ version, inputs: [given = expect.fail()] }) =>
    version === '1' ? given : { ...given, data: Buffer.from(given.data.map((level) => 255 - level)) },
  );
  modelServerContract(() => models);
});
