import type { OutputRequest } from '../domain/job.js';
import { warning } from '../domain/warnings.js';
import type { Format } from './formats/format.js';

/** Extensions that a reader takes for a picture's format, and the one that Format uses for it. */
const EXTENSION = /\.(png|jpe?g|jfif|webp|avif|gif|tiff?|bmp|heic|heif|jxl)$/i;
const SAME: Readonly<Record<string, string>> = { jpeg: 'jpg', jfif: 'jpg' };

/** What the job asks of its output and the format does not support. The job still succeeds, but silence would mislead. */
export function outputWarnings({ quality, uri = '' }: OutputRequest, { extension, lossless }: Format): string[] {
  const said = EXTENSION.exec(uri)?.[1]?.toLowerCase();
  const named = said === undefined ? extension : (SAME[said] ?? said);
  return [
    ...(quality !== undefined && lossless ? [warning('quality', { format: extension })] : []),
    ...(named === extension ? [] : [warning('name', { format: extension })]),
  ];
}
