import { describe, expect, it } from 'vitest';
import type { Status } from '../../../src/domain/completion.js';
import { type Owner, storeResult } from '../../../src/pipeline/store.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;
const target = { bucket: 'out', name: 'exact.png' };
const first: Owner = { jobId: 'a', fingerprint: 'f' };
const redrive: Owner = { jobId: 'a~r1', redriveOf: 'a', fingerprint: 'f' };

/** Stores a result of each job in turn at the same place. */
async function storeInTurn(owners: readonly Owner[], ends: Readonly<Record<string, Status>> = {}) {
  const { store } = memoryStore();
  const endOf = (jobId: string) => Promise.resolve(ends[jobId]);
  let stored;
  for (const [index, owner] of owners.entries()) {
    const encoded = { bytes: Buffer.from([index]), width: index + 1, height: 1 };
    stored = await storeResult(target, encoded, owner, 'image/png', [], store, endOf, signal);
  }
  return stored?.output.width;
}

describe('a result at a place that is taken', () => {
  it('is the one that another attempt at the same job has left', async () => {
    expect(await storeInTurn([first, first])).toBe(1);
  });

  it('is the one that the redriven job has left, where that did not succeed after all', async () => {
    expect(await storeInTurn([first, redrive], { a: 'expired' })).toBe(1);
    expect(await storeInTurn([first, { ...redrive, jobId: 'a~r2' }])).toBe(1);
    expect(await storeInTurn([redrive, { ...redrive, jobId: 'a~r2' }], { 'a~r1': 'failed' })).toBe(1);
  });

  it.each([
    ['another job', [first, { ...first, jobId: 'b' }], {}],
    ['the redriven job, which succeeded', [first, redrive], { a: 'succeeded' }],
    ['the redriven job, for other work', [first, { ...redrive, fingerprint: 'g' }], { a: 'failed' }],
    ['a job that is not the redriven one', [{ ...first, jobId: 'ab' }, redrive], { ab: 'failed' }],
  ] as const)('is refused where it belongs to %s', async (_, owners, ends) => {
    await expect(storeInTurn(owners, ends)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  });
});
