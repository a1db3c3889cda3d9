import { describe, expect, it } from 'vitest';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { outputWarnings } from '../../../src/pipeline/output-warnings.js';

const QUALITY = 'output.quality was not used: the result is png, which has none';
const NAME = /^the name in output\.uri says another format than that of the result, (png|jpg)$/;

describe('what is asked of an output in vain', () => {
  it.each([
    [{ quality: 80 }, 'png', [QUALITY]],
    [{ quality: 80 }, 'jpeg', []],
    [{ uri: 'gs://o/a.png' }, 'png', []],
    [{ uri: 'gs://o/a.JPEG' }, 'jpeg', []],
    [{ uri: 'gs://o/a.v2' }, 'jpeg', []],
    [{ uri: 'gs://o/a' }, 'png', []],
    [{ uri: 'gs://o/a.jpg' }, 'png', [expect.stringMatching(NAME)]],
    [{ uri: 'gs://o/a.gif', quality: 1 }, 'jpeg', [expect.stringMatching(NAME)]],
    [{ prefix: 'gs://o/a.jpg' }, 'png', []],
  ] as const)('is warned of: %o as %s', (output, format, warnings) => {
    expect(outputWarnings(output, FORMATS[format])).toEqual(warnings);
  });
});
