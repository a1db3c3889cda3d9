import type { Format } from './index.js';

export const avif: Format = {
  contentType: 'image/avif',
  extension: 'avif',
  alpha: true,
  lossless: false,
  maxSide: 16_384,
  encoderBytes: 36,
  encoderNs: 5_000,
  encode: (picture, quality = 60) => picture.avif({ quality }),
};
