import { describe, expect, it } from 'vitest';
import { parseJob } from '../../../src/domain/job.js';

const minimal = { jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a.jpg' } };

describe('what is said about a wrong field', () => {
  it.each([
    [{ jobId: undefined }, 'jobId: expected a text, given nothing'],
    [{ operations: 'x' }, 'operations: expected a list, given "x"'],
    [{ operations: [] }, 'operations: expected at least 1 of them, given []'],
    [{ operations: [7] }, 'operations.0: expected a text or an object, given 7'],
    [{ output: { quality: 'high' } }, 'output.quality: expected a number, given "high"'],
    [{ output: { quality: 1.5 } }, 'output.quality: expected a whole number, given 1.5'],
    [{ output: { quality: 101 } }, 'output.quality: expected at most 100, given 101'],
    [{ output: { format: 'gif' } }, 'output.format: expected one of png, jpeg, webp, avif, given "gif"'],
    [{ deadline: 'soon' }, 'deadline: expected a time such as 2026-12-01T12:00:00Z, given "soon"'],
    [{ timeoutSeconds: 0 }, 'timeoutSeconds: expected more than 0, given 0'],
    [{ experimentKey: 'x'.repeat(300) }, /^experimentKey: expected at most 256 characters, given "x{59}…$/],
    [{ metadata: 7 }, 'metadata: expected an object, given 7'],
    [
      { operations: [{ model: 'x', parameters: { a: null } }] },
      'operations.0.parameters.a: expected a text or a number or true or false, given null',
    ],
    [{ colour: 1 }, 'colour: unknown field'],
  ])('uses no words of the parser: %o', (fields, message) => {
    const refused = () => parseJob(Buffer.from(JSON.stringify({ ...minimal, ...fields })));
    expect(refused).toThrow(message);
  });
});
