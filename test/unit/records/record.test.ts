import { describe, expect, it } from 'vitest';
import { completionBytes } from '../../../src/domain/completion.js';
import { decodeRecord, encodeRecord } from '../../../src/records/record.js';

const decoded = (text: string) => {
  const record = decodeRecord(Buffer.from(text));
  if (typeof record === 'string') throw new Error(record);
  return record;
};

describe('a record', () => {
  it.each([
    // As 0.1 wrote it.
    '{"fingerprint":"f","model":"upscale","completion":{"schemaVersion":1,"eventId":"e","jobId":"a","status":"succeeded","warnings":[],"metadata":{"2":1,"10":0.1,"z":1e21,"ü":"\\ud83d\\ude00"}}}',
    '{"fingerprint":null,"completion":{"eventId":"e","status":"canceled"}}',
    // As a newer worker may write it.
    '{"x":{"y":[]},"fingerprint":"f","completion":{"news":1,"schemaVersion":2,"eventId":"e","status":"paused","error":{"hint":"h","code":"NEW","message":"m"}},"tail":null}',
  ])('gives its completion as it was published, byte for byte: %s', (text) => {
    const published = text.slice(text.indexOf('"completion":') + '"completion":'.length);
    const { completion } = decoded(text);
    // JSON has one way to write a string here; the escapes of the first are one character.
    const expected = JSON.stringify((JSON.parse(text) as { completion: unknown }).completion);
    expect(completionBytes(completion).toString()).toBe(expected);
    expect(published.startsWith(expected) || text.includes('\\u')).toBe(true);
  });

  it('is written as it is read', () => {
    const record = decoded('{"fingerprint":"f","completion":{"eventId":"e","status":"succeeded","later":1}}');
    expect(decoded(encodeRecord(record).toString())).toEqual(record);
  });

  it.each([
    ['', 'expected a record as JSON, found 0 bytes that are none'],
    ['no', 'expected a record as JSON'],
    ['null', 'the whole'],
    ['[]', 'the whole'],
    ['{"fingerprint":1,"completion":{"eventId":"e","status":"x"}}', 'fingerprint'],
    ['{"completion":{"eventId":"e","status":"x"}}', 'fingerprint'],
    ['{"fingerprint":"f"}', 'completion'],
    ['{"fingerprint":"f","completion":{"status":"x"}}', 'completion.eventId'],
    ['{"fingerprint":"f","completion":{"eventId":"e"}}', 'completion.status'],
    ['{"fingerprint":"f","completion":{"eventId":"e","status":"x","error":"no"}}', 'completion.error'],
  ])('is not what has none of what must be repeated: %s', (text, reason) => {
    expect(decodeRecord(Buffer.from(text))).toContain(reason);
  });
});
