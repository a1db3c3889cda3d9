import { expect, it } from 'vitest';
import { recall } from '../../../src/records/recall.js';
import { encodeRecord, type JobRecord, recordRef } from '../../../src/records/record.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;

it('takes the record of another job for none of this one', async () => {
  const { store } = memoryStore();
  const record = {
    fingerprint: 'f',
    completion: { schemaVersion: 1, eventId: 'e', jobId: 'one', status: 'succeeded' },
  } as JobRecord;
  for (const jobId of ['one', 'copy']) {
    const how = { contentType: 'application/json', signal };
    await store.create(recordRef('gs://state', jobId), encodeRecord(record), how);
  }
  expect(await recall(store, 'gs://state', 'one', signal)).toMatchObject({ completion: { jobId: 'one' } });
  await expect(recall(store, 'gs://state', 'copy', signal)).rejects.toMatchObject({
    code: 'RECORD_UNREADABLE',
    message: expect.stringContaining('it is the record of job one') as string,
  });
});
