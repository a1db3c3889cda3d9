import type { Format } from './index.js';

export const jpeg: Format = {
  contentType: 'image/jpeg',
  extension: 'jpg',
  alpha: false,
  maxSide: 65_535,
  encode: (picture, quality = 90) => picture.jpeg({ quality, chromaSubsampling: quality >= 90 ? '4:4:4' : '4:2:0' }),
};
