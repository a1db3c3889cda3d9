import { describe, expect, it } from 'vitest';
import { checkParameters } from '../../../src/pipeline/parameters.js';

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: { strength: { type: 'number', minimum: 0, maximum: 1 } },
};

describe('checkParameters', () => {
  it('takes what the model declares, and names each parameter that is wrong', () => {
    expect(() => checkParameters('m', SCHEMA, { strength: 0.5 })).not.toThrow();
    expect(() => checkParameters('m', SCHEMA, { strength: 2, ink: 1 })).toThrow(
      expect.objectContaining({
        code: 'INVALID_PARAMETERS',
        message: 'parameters of m: ink: unknown, expected one of strength; strength: must be <= 1',
      }),
    );
    expect(() => checkParameters('m', {}, { strength: 1 })).toThrow(/unknown, expected none/);
  });

  it('takes a schema with an $id again and again, since contracts are read anew', () => {
    for (let i = 0; i < 3; i++) {
      const again = JSON.parse(JSON.stringify({ ...SCHEMA, $id: 'https://example.com/style' })) as typeof SCHEMA;
      expect(() => checkParameters('m', again, { strength: 1 })).not.toThrow();
    }
    const other = { ...SCHEMA, $id: 'https://example.com/style', description: 'another' };
    expect(() => checkParameters('m', other, { strength: 1 })).not.toThrow();
  });

  it('names model and key of a schema that is none', () => {
    expect(() => checkParameters('m', { type: 5 }, {})).toThrow(
      expect.objectContaining({
        code: 'INTERNAL',
        message: expect.stringMatching(/^model m: imagen\.parameters: expected a JSON Schema/) as string,
      }),
    );
  });
});
