import type { Format } from './format.js';

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
  encode: (picture, quality = 90) =>
    picture.jpeg({ quality, chromaSubsampling: quality >= 90 ? '4:4:4' : '4:2:0', optimiseCoding: false }),
};
