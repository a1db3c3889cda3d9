import { describe, expect, it } from 'vitest';
import { SAME_FAILURE_PAUSE_MS, whyTooSoon } from '../../../src/client/redrive-rules.js';
import type { Completion } from '../../../src/domain/completion.js';
import { type ErrorCode, JobError } from '../../../src/domain/errors.js';
import { memoryStore } from '../../support/memory-store.js';

const message = { jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a.jpg' }, output: { uri: 'gs://out/a.png' } };
const never = new AbortController().signal;

function failed(code: ErrorCode): Completion {
  const { stage, retryable } = new JobError(code, '');
  return { schemaVersion: 1, eventId: 'e', status: 'failed', error: { code, stage, retryable, message: '' } };
}

describe('a redrive that failed in the same way as the job before it', () => {
  const { store } = memoryStore();
  const why = (code: ErrorCode, before: ErrorCode = code, agoMs = 1_000) => {
    const end = { completion: failed(code), endedAt: new Date(Date.now() - agoMs) };
    return whyTooSoon(store, 'a~r1', end, failed(before), message, never);
  };

  it('is not repeated for five minutes', async () => {
    const sentence =
      'UNKNOWN_MODEL: a~r1 failed in the same way less than 5 minutes ago: mend the cause, then wait or force it';
    expect(await why('UNKNOWN_MODEL')).toBe(sentence);
    expect(await why('UNKNOWN_MODEL', 'UNKNOWN_MODEL', SAME_FAILURE_PAUSE_MS - 5_000)).toBe(sentence);
    expect(await why('UNKNOWN_MODEL', 'UNKNOWN_MODEL', SAME_FAILURE_PAUSE_MS)).toBeUndefined();
    const unlisted = { completion: failed('INTERNAL'), endedAt: undefined };
    expect(await whyTooSoon(store, 'a~r1', unlisted, failed('INTERNAL'), message, never)).toMatch(/^INTERNAL: /);
  });

  it('is repeated at once after another failure, or where it can be seen that the cause is mended', async () => {
    expect(await why('UNKNOWN_VERSION', 'UNKNOWN_MODEL')).toBeUndefined();
    expect(await why('INPUT_CORRUPT')).toBeUndefined(); // another rule has compared the picture
    expect(await why('OUTPUT_EXISTS')).toBeUndefined(); // and looked for the result
    expect(await why('INPUT_NOT_FOUND')).toMatch(/^INPUT_NOT_FOUND: /);
    await store.create({ bucket: 'in', name: 'a.jpg' }, Buffer.from('x'), { contentType: 'image/jpeg', signal: never });
    expect(await why('INPUT_NOT_FOUND')).toBeUndefined();
  });
});
