import { describe, expect, it } from 'vitest';
import { createAvailability } from '../../../src/scheduling/availability.js';
import { memoryModels } from '../../support/memory-models.js';

const circuits = { broken: () => undefined, refuse: () => undefined, mayTry: () => true };
const buckets = { trouble: () => undefined, usedAt: () => undefined };

describe('availability', () => {
  it('takes an answer for the use of a model and of one of its versions', async () => {
    const availability = createAvailability({ circuits, buckets });
    const server = memoryModels([], undefined, { infer: () => Promise.resolve({} as never) });
    await availability.watch(server).infer({ model: 'up', version: '2' } as never, new AbortController().signal);
    const labels = ['model up', 'version 2 of model up', 'version 3 of model up'];
    expect(labels.map((label) => availability.usedAt(label) !== undefined)).toEqual([true, true, false]);
  });
});
