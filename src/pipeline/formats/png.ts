import type { Format } from './index.js';

export const png: Format = {
  contentType: 'image/png',
  extension: 'png',
  alpha: true,
  maxSide: 65_535,
  encoderBytes: 0.5,
  encoderNs: 45,
  // `quality` would ask sharp for a palette; PNG stays lossless here.
  encode: (picture) => picture.png(),
};
