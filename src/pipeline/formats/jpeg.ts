import type { Format } from './format.js';

const QUALITY = 90;
const subsamplingOf = (quality: number) => (quality >= 90 ? '4:4:4' : '4:2:0');

export const jpeg: Format = {
  contentType: 'image/jpeg',
  extension: 'jpg',
  lossless: false,
  alpha: false,
  // Limit of libjpeg. The format itself could hold 65,535.
  maxSide: 65_500,
  encoderBytes: 0.5,
  encoderNs: 15,
  // Optimised code tables would save 2 % of the file, but take nine times as long and 12 more bytes per pixel.
  encode: (picture, quality = QUALITY) =>
    picture.jpeg({ quality, chromaSubsampling: subsamplingOf(quality), optimiseCoding: false }),
  fromRgb: (turbo, rgb, size, quality = QUALITY) => turbo.encode(rgb, size, quality, subsamplingOf(quality)),
};
