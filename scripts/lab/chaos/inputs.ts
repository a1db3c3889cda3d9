import { join } from 'node:path';
import sharp from 'sharp';
import type { Parts } from '../parts.js';
import { root } from '../../dev/stack/paths.js';

export type Inputs = Awaited<ReturnType<typeof uploadInputs>>;

/** Widths and formats; AVIF takes long to write, so it is rare and small. */
const PICTURES = [
  ...[48, 90, 128, 131, 200, 256, 257, 320].map((width) => ({ width, format: 'jpeg' }) as const),
  ...[64, 150, 222, 300].map((width) => ({ width, format: 'png' }) as const),
  ...[80, 160, 240].map((width) => ({ width, format: 'webp' }) as const),
  { width: 64, format: 'avif' } as const,
];

/** The largest picture of these needs so many bytes of `IMAGEN_MAX_DECODED_BYTES`, about: 320 x 213, 18 bytes a pixel. */
export const LARGEST_BYTES = 320 * 213 * 18;

/** Prefix of results in a bucket that is made only while the run lasts. */
export const LATE_BUCKET = 'gs://imagen-late-results/';

export async function uploadInputs(parts: Parts) {
  const photo = join(root, 'test/fixtures/photos/coffee.jpg');
  const good: string[] = [];
  let last = Buffer.alloc(0);
  for (const { width, format } of PICTURES) {
    const bytes = await sharp(photo).resize(width).toFormat(format).toBuffer();
    good.push(await parts.upload(`good-${width}.${format}`, bytes));
    if (format === 'png') last = bytes;
  }
  const red = sharp({ create: { width: 96, height: 64, channels: 3, background: '#f00' } });
  return {
    good,
    red: await parts.upload('red.png', await red.png().toBuffer()),
    /** Addresses that cannot be worked on, by the code that their jobs must end with. */
    bad: {
      INPUT_CORRUPT: await parts.upload('corrupt.png', last.subarray(0, Math.floor(last.length / 2))),
      INPUT_NOT_FOUND: `${parts.env.IMAGEN_UPLOAD_PREFIX}missing.png`,
      INPUT_FORBIDDEN: 'gs://somebody-else/picture.png',
      UNSUPPORTED_FORMAT: await parts.upload('text.png', Buffer.from('I am a picture, honestly.')),
      INPUT_EMPTY: await parts.upload('empty.png', Buffer.alloc(0)),
    },
  };
}
