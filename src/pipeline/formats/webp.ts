import type { Format } from './format.js';

export const webp: Format = {
  contentType: 'image/webp',
  extension: 'webp',
  lossless: false,
  alpha: true,
  maxSide: 16_383,
  encoderBytes: 5,
  encoderNs: 80,
  // Without `exact`, libwebp changes the colours beneath transparent pixels.
  encode: (picture, quality = 85, keepHidden = false) => picture.webp({ quality, exact: keepHidden }),
};
