import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { duplicateKey } from '../../../src/domain/json.js';

describe('duplicateKey', () => {
  it.each([
    ['{"a":1,"a":2}', 'a'],
    ['{"x":{"b":1,"c":[{"b":2,"b":3}]}}', 'b'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"a\\"":1, "b" : 2, "a\\"" :3}', 'a"'],
    ['{"":1,"":2}', ''],
  ])('finds the key that comes twice: %s', (json, key) => expect(duplicateKey(json)).toBe(key));

  it.each([
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
    '{"a":"\\"b\\":1,\\"b\\":2","b":"{}"}',
    '{"a":"{\\"a\\":","c":"\\\\"}',
    '[]',
    '"a"',
    'null',
  ])('finds none where there is none: %s', (json) => {
    expect(() => JSON.parse(json) as unknown).not.toThrow();
    expect(duplicateKey(json)).toBeUndefined();
  });

  it('refuses a job message that says something twice', () => {
    const twice = Buffer.from('{"jobId":"a","operations":["x"],"input":{"uri":"gs://in/a"},"operations":["y"]}');
    expect(() => parseJob(twice)).toThrow(new JobError('INVALID_MESSAGE', 'operations: given twice'));
  });
});
