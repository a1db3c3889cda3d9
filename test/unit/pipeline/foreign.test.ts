import { describe, expect, it } from 'vitest';
import { refuseForeign, unsupported } from '../../../src/pipeline/preflight/foreign.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('a file that is no picture', () => {
  it.each([
    ['BM6', /given BMP: convert it to PNG/],
    ['PK\x03\x04....', /given a ZIP archive/],
    ['<!DOCTYPE html><p>', /given a web page/],
    ['\n<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">', /given a web page/],
    ['\xef\xbb\xbf<HTML>', /given a web page/],
    ['<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', /given XML, such as the error of a server/],
    [
      '<?xml version="1.0"?>\n<!-- Inkscape -->\n<!DOCTYPE svg PUBLIC "a" "b">\n<svg xmlns="x">',
      /given SVG: render it/,
    ],
    ['\xef\xbb\xbf<svg>', /given SVG: render it/],
    [Buffer.from('\ufffd\ufffd\ufffd\ufffd\0\x10JFIF').toString('latin1'), /read as text and written as UTF-8/],
    [Buffer.from('\ufffdPNG\r\n\x1a\n').toString('latin1'), /read as text and written as UTF-8/],
    [Buffer.from('\xff\xd8\xff\xe0').toString('latin1'), /read as text and written as UTF-8/],
    ['\x89PNG\n\x1a\n', /line ends were changed/],
    ['data:image/jpeg;base64,/9j/4AAQ', /given Base64: decode it first/],
    ['RIFF....WAVEfmt ', /given sound or a film/],
    ['Dear diary,\n\tno picture', /given text$/],
    [Buffer.from('Grüße, 世界\n').toString('latin1'), /given text$/],
  ])('is named, and refused before it is sent: %j', (text, message) => {
    expect(unsupported(bytes(text)).message).toMatch(message);
    expect(() => refuseForeign(bytes(text), 'x.png')).toThrow(message);
  });

  it('is an animated AVIF, which only the worker refuses', () => {
    const animated = bytes('....ftypavis....avif');
    expect(unsupported(animated).message).toMatch(/given an animated AVIF/);
    expect(() => refuseForeign(animated, 'x')).not.toThrow();
  });

  it('is empty', () => {
    expect(unsupported(Buffer.alloc(0)).message).toMatch(/given an empty file$/);
  });

  it('is told by its first bytes where nobody knows it, and is left to the worker', () => {
    expect(unsupported(bytes('\x00\x01\x02\x03\xfe\xff\x00\x00\x00')).message).toMatch(
      /given bytes that begin with 00010203feff0000$/,
    );
    expect(() => refuseForeign(bytes('\x00\x01\x02\x03'), 'x')).not.toThrow();
  });

  it.each([
    '\xff\xd8\xff\xe0',
    '\x89PNG\r\n\x1a\n',
    'RIFF....WEBPVP8 ',
    '....ftypmif1....mif1avif',
    'GIF89aABCD',
    'II*\0',
  ])('is not a picture that a worker reads: %j', (text) => expect(() => refuseForeign(bytes(text), 'x')).not.toThrow());
});
