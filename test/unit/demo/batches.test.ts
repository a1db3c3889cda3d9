import { expect, it } from 'vitest';
import { createBatches, RECENT_MS } from '../../../scripts/dev/demo/live/models.js';

const counted = (...pairs: [size: number, executions: number][]) => [
  {
    version: '1',
    requests: 0,
    batches: pairs.map(([batchSize, executions]) => ({ batchSize, executions, meanMs: 1 })),
  },
];

it('counts from the first word on, and what is recent apart', () => {
  const batches = createBatches();
  batches.add('a', counted([1, 100]), 0);
  expect(batches.view()).toEqual([{ model: 'a', sizes: [] }]);
  batches.add('a', counted([1, 102], [4, 3]), 1_000);
  batches.add('a', counted([1, 102], [4, 4]), RECENT_MS + 500);
  expect(batches.view()).toEqual([
    {
      ...{ model: 'a', mean: (2 + 4 * 4) / 6 },
      sizes: [
        { size: 1, runs: 2, recent: 2 },
        { size: 4, runs: 4, recent: 4 },
      ],
    },
  ]);
  batches.add('a', counted([1, 102], [4, 4]), RECENT_MS + 1_000);
  expect(batches.view()[0]?.sizes).toEqual([
    { size: 1, runs: 2, recent: 0 },
    { size: 4, runs: 4, recent: 1 },
  ]);
});

it('goes on where a model was loaded anew, and adds up its versions', () => {
  const batches = createBatches();
  batches.add('a', counted([2, 10]), 0);
  batches.add('a', counted([2, 3]), 1);
  batches.add(
    'a',
    [...counted([2, 3]), { version: '2', requests: 0, batches: [{ batchSize: 2, executions: 1, meanMs: 1 }] }],
    2,
  );
  expect(batches.view()).toEqual([{ model: 'a', mean: 2, sizes: [{ size: 2, runs: 4, recent: 4 }] }]);
});
