import type { Format } from './index.js';

export const webp: Format = {
  contentType: 'image/webp',
  extension: 'webp',
  alpha: true,
  lossless: false,
  maxSide: 16_383,
  encoderBytes: 5,
  encoderNs: 80,
  encode: (picture, quality = 85) => picture.webp({ quality }),
};
