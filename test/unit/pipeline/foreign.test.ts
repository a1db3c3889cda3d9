import { describe, expect, it } from 'vitest';
import { refuseForeign, unsupported } from '../../../src/pipeline/preflight/foreign.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('a file that is no picture', () => {
  it.each([
    ['GIF89a', /given GIF: convert it to PNG/],
    ['PK\x03\x04....', /given a ZIP archive/],
    ['<!DOCTYPE html><p>', /given a web page/],
    ['RIFF....WAVEfmt ', /given sound or a film/],
    ['Dear diary,\n\tno picture', /given text$/],
    [Buffer.from('Grüße, 世界\n').toString('latin1'), /given text$/],
  ])('is named, and refused before it is sent: %j', (text, message) => {
    expect(unsupported(bytes(text)).message).toMatch(message);
    expect(() => refuseForeign(bytes(text), 'x.png')).toThrow(message);
  });

  it('is told by its first bytes where nobody knows it, and is left to the worker', () => {
    expect(unsupported(bytes('\x00\x01\x02\x03\xfe\xff\x00\x00\x00')).message).toMatch(
      /given bytes that begin with 00010203feff0000$/,
    );
    expect(() => refuseForeign(bytes('\x00\x01\x02\x03'), 'x')).not.toThrow();
  });

  it.each(['\xff\xd8\xff\xe0', '\x89PNG\r\n\x1a\n', 'RIFF....WEBPVP8 ', '....ftypmif1....mif1avif'])(
    'is not a picture that a worker reads: %j',
    (text) => expect(() => refuseForeign(bytes(text), 'x')).not.toThrow(),
  );
});
