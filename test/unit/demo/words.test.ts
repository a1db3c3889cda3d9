import { expect, it } from 'vitest';
import { wordsOfCodes } from '../../../scripts/dev/demo/live/words.js';
import { ERROR_CODES } from '../../../src/domain/errors.js';

it('has a plain sentence for each error code', () => {
  const words = wordsOfCodes();
  expect(Object.keys(words).sort()).toEqual([...ERROR_CODES].sort());
  for (const text of Object.values(words)) expect(text).toMatch(/^[^`[\]|]+\.$/);
  expect(words.INPUT_NOT_FOUND).toBe(
    'There is no object at input.uri, or it does not have the given input.generation.',
  );
});
