import type { Format } from './format.js';

export const avif: Format = {
  contentType: 'image/avif',
  extension: 'avif',
  lossless: false,
  alpha: true,
  maxSide: 16_384,
  encoderBytes: 36,
  encoderNs: 5_000,
  encode: (picture, quality = 60) => picture.avif({ quality }),
};
