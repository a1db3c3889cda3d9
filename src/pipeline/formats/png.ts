import type { Format } from './format.js';

export const png: Format = {
  contentType: 'image/png',
  extension: 'png',
  lossless: true,
  alpha: true,
  maxSide: 65_535,
  encoderBytes: 0.5,
  encoderNs: 45,
  // `quality` would make sharp write a palette. It is ignored, so that PNG stays lossless.
  encode: (picture) => picture.png(),
};
