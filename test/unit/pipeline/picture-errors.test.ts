import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import { withPictureErrors } from '../../../src/pipeline/picture-errors.js';

const PNG = Buffer.from('89504e470d0a1a0a', 'hex');
const thrownFor = (cause: unknown) =>
  withPictureErrors(PNG, () => Promise.reject(cause as Error)).catch((thrown: unknown) => thrown);

describe("a decoder's error", () => {
  it.each([
    ['Input buffer contains unsupported image format', 'UNSUPPORTED_FORMAT'],
    ['Input image exceeds pixel limit', 'INPUT_TOO_MANY_PIXELS'],
    ['pngload_buffer: libspng read error\nand more', 'INPUT_CORRUPT'],
  ])('is about the picture: %s', async (message, code) => {
    expect(await thrownFor(new Error(message))).toMatchObject({ code });
  });

  it('has its first line as message', async () => {
    expect(await thrownFor(new Error('read error\nand more'))).toMatchObject({ message: 'read error' });
  });
});

describe("an error that is not the picture's fault", () => {
  it.each([
    ['a mistake of our own', new TypeError('x is not a function')],
    ['a read beyond a buffer of ours', new RangeError('Offset is outside the bounds of the DataView')],
    ['a shortage', new Error('vips_malloc: out of memory')],
    ['an error with a code', new JobError('EXECUTION_TIMEOUT', 'too long')],
    ['something that is no Error', 'text'],
  ])('passes unchanged: %s', async (_what, cause) => {
    expect(await thrownFor(cause)).toBe(cause);
  });
});
