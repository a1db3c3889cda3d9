import { describe, expect, it } from 'vitest';
import { canonicalJson, eventIdOfJob, eventIdOfMessage, fingerprint } from '../../../src/domain/fingerprint.js';
import { parseJob } from '../../../src/domain/job.js';

const job = (more: object = {}) =>
  parseJob(
    Buffer.from(JSON.stringify({ jobId: 'a', operations: ['upscale'], input: { uri: 'gs://in/a.jpg' }, ...more })),
  );

describe('fingerprint', () => {
  it('is the same however the work is written down', () => {
    expect(fingerprint(job({ operations: [{ model: 'upscale' }], output: {} }))).toBe(fingerprint(job()));
  });

  it.each([
    ['priority', { priority: 'interactive' }],
    ['deadline', { deadline: '2030-01-01T00:00:00Z' }],
    ['metadata', { metadata: { a: 1 } }],
    ['experimentKey', { experimentKey: 'x' }],
    ['timeoutSeconds', { timeoutSeconds: 5 }],
    ['jobId', { jobId: 'b' }],
  ])('does not depend on %s', (_name, more) => {
    expect(fingerprint(job(more))).toBe(fingerprint(job()));
  });

  it.each([
    ['operations', { operations: ['enhance'] }],
    ['a version', { operations: [{ model: 'upscale', version: '1' }] }],
    ['parameters', { operations: [{ model: 'upscale', parameters: { strength: 1 } }] }],
    ['input.uri', { input: { uri: 'gs://in/b.jpg' } }],
    ['input.generation', { input: { uri: 'gs://in/a.jpg', generation: '1' } }],
    ['output', { output: { format: 'png' } }],
  ])('depends on %s', (_name, more) => {
    expect(fingerprint(job(more))).not.toBe(fingerprint(job()));
  });
});

describe('canonicalJson', () => {
  it('sorts keys at every depth and leaves out what is undefined', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined }], a: 'x' })).toBe('{"a":"x","b":[{"d":1}]}');
  });
});

describe('event ids', () => {
  it('tell jobs, fingerprints and messages apart', () => {
    const ids = [eventIdOfJob('a', 'f'), eventIdOfJob('a', 'g'), eventIdOfJob('b', 'f'), eventIdOfMessage('a')];
    expect(new Set(ids).size).toBe(4);
  });
});
