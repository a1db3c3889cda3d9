import { describe, expect, it } from 'vitest';
import { type JobMessage, MAX_MESSAGE_BYTES, parseJob } from '../../../src/domain/job.js';
import { MAX_RECORD_BYTES } from '../../../src/records/recall.js';
import { decodeRecord, encodeRecord } from '../../../src/records/record.js';
import { requestFrom, requestOf } from '../../../src/records/request.js';

const message: JobMessage = { jobId: 'a', operations: ['upscale'], input: { uri: 'gs://in/a.jpg' } };
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const completion = { schemaVersion: 1 as const, eventId: 'e', jobId: 'a', status: 'failed' as const };

describe('the request in a record', () => {
  it('is what the publisher sent, once the record was written and read', () => {
    const request = requestFrom(bytes(message), { model: 'upscale', tenant: 'x' }, 'key');
    const record = decodeRecord(encodeRecord({ fingerprint: 'f', completion, request }));
    if (typeof record === 'string') throw new Error(record);
    expect(requestOf(record)).toEqual({ message, attributes: { model: 'upscale', tenant: 'x' }, orderingKey: 'key' });
  });

  it('is read from a message with a byte order mark, as the parser reads it', () => {
    const marked = Buffer.concat([Buffer.from('\ufeff'), bytes(message)]);
    expect(parseJob(marked).jobId).toBe('a');
    expect(requestFrom(marked, {}, undefined).message).toEqual(message);
  });

  it.each([
    ['is absent', undefined],
    ['is none', null],
    ['asks for what this version does not know', { message: { ...message, colour: 'red' } }],
  ])('is not told of a record where it %s, which is read all the same', (_what, request) => {
    const record = decodeRecord(bytes({ fingerprint: null, completion, request }));
    if (typeof record === 'string') throw new Error(record);
    expect(requestOf(record)).toBeUndefined();
  });

  it('has the usual attributes where a record has none, and where there are too many to keep', () => {
    const usual = { model: 'upscale', priority: 'batch' };
    const many = Object.fromEntries(Array.from({ length: 95 }, (_, i) => [`n${i}`, 'x'.repeat(1024)]));
    expect(requestFrom(bytes(message), many, undefined).attributes).toEqual(usual);
    expect(requestOf({ request: { message } as never })?.attributes).toEqual(usual);
  });

  it('leaves the largest record readable', () => {
    // A number of four bytes is written out with twenty-two.
    const parameters = Array.from({ length: 5100 }, (_, i) => `"${i.toString(36).padStart(3, '_')}":-1e20`).join(',');
    const large = `{"jobId":"a","operations":[{"model":"m","parameters":{${parameters}}}],"input":{"uri":"gs://in/a"},"metadata":{"x":"${'y'.repeat(4000)}"}}`;
    const data = Buffer.from(large);
    expect(parseJob(data).jobId).toBe('a');
    expect(data.length).toBeGreaterThan(MAX_MESSAGE_BYTES - 1000);
    const request = requestFrom(data, { x: 'y'.repeat(32_000) }, 'k'.repeat(1024));
    const told = { ...completion, metadata: { x: 'y'.repeat(4000) } };
    // What else a completion may hold: addresses of 1 KiB, an error of 1,000 characters, eight steps, warnings.
    const rest = 20_000;
    expect(encodeRecord({ fingerprint: 'f'.repeat(64), completion: told, request }).length).toBeLessThan(
      MAX_RECORD_BYTES - rest,
    );
  });
});
