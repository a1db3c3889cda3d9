import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ObjectStore, ReadResult } from '../../../src/domain/ports.js';
import { fetchInput } from '../../../src/pipeline/fetch.js';
import { recall } from '../../../src/records/recall.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;
const photo = readFileSync('test/fixtures/photos/coffee.jpg');
const storeOf = (found: ReadResult): ObjectStore => ({ ...memoryStore().store, read: () => Promise.resolve(found) });
const fetch = (found: ReadResult) =>
  fetchInput({ uri: 'gs://in/a.jpg' }, storeOf(found), { allowedInputs: ['gs://in'], maxBytes: 9 }, signal);

describe('an input', () => {
  it.each([
    ['INPUT_NOT_FOUND', { kind: 'missing' }, 'no object gs://in/a.jpg'],
    ['INPUT_TOO_LARGE', { kind: 'too-large', bytes: 10 }, 'expected at most 9 bytes, given 10'],
    ['INPUT_FORBIDDEN', { kind: 'refused', reason: 'requester pays' }, 'gs://in/a.jpg: requester pays'],
    ['INPUT_CORRUPT', { kind: 'corrupt', reason: 'does not inflate' }, 'gs://in/a.jpg: does not inflate'],
    ['INPUT_EMPTY', { kind: 'found', bytes: Buffer.alloc(0), generation: '1' }, 'gs://in/a.jpg has no bytes'],
    [
      'UNSUPPORTED_FORMAT',
      { kind: 'found', bytes: Buffer.from('(\xb5/\xfd', 'latin1'), generation: '1', contentEncoding: 'zstd' },
      'gs://in/a.jpg: expected an object without Content-Encoding, or with gzip, given zstd',
    ],
  ] as const)('ends as %s', async (code, found, message) => {
    await expect(fetch(found)).rejects.toMatchObject({ code, message });
  });

  it('is a picture whatever coding its uploader declared', async () => {
    const found = { kind: 'found', bytes: photo, generation: '1', contentEncoding: 'utf-8' } as const;
    expect((await fetch(found)).bytes).toBe(photo);
  });
});

describe('a record', () => {
  it('that does not inflate is not answered', async () => {
    const reading = recall(storeOf({ kind: 'corrupt', reason: 'does not inflate' }), 'gs://state', 'x', signal);
    await expect(reading).rejects.toMatchObject({ code: 'RECORD_UNREADABLE' });
  });
});
