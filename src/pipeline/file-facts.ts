import type { Metadata } from 'sharp';
import type { JpegFile } from './jpeg/index.js';
import type { TurboJpeg } from './jpeg/turbo.js';

/** The fields of sharp's metadata that the worker reads. */
export type FileFacts = Pick<
  Metadata,
  | 'format'
  | 'compression'
  | 'width'
  | 'height'
  | 'orientation'
  | 'autoOrient'
  | 'space'
  | 'depth'
  | 'hasAlpha'
  | 'isProgressive'
  | 'pages'
  | 'icc'
  | 'exif'
  | 'xmp'
  | 'iptc'
>;

/**
 * What sharp would say of a JPEG without metadata. A call of sharp takes half a millisecond.
 * @param bytes of the file, as the decoder has to see them
 * @returns undefined for all other JPEGs
 */
export function factsOfBare(jpeg: JpegFile, bytes: Buffer, turbo: TurboJpeg): FileFacts | undefined {
  const header = jpeg.isBare ? turbo.header(bytes) : undefined;
  if (!header) return undefined;
  const { width, height, grey } = header;
  return {
    ...{ format: 'jpeg', width, height, autoOrient: { width, height } },
    ...{ space: grey ? 'b-w' : 'srgb', depth: 'uchar', hasAlpha: false, isProgressive: jpeg.isInScans },
  };
}
