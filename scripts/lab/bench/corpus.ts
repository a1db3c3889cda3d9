/** Pictures of all different sizes, the same in every run. */
import { join } from 'node:path';
import sharp from 'sharp';
import { seeded } from '../random.js';
import { root } from '../../dev/stack/paths.js';

export interface Corpus {
  readonly name: 'thumbnails' | 'web' | 'camera';
  readonly from: number;
  readonly to: number;
}

export const THUMBNAILS: Corpus = { name: 'thumbnails', from: 0.02, to: 0.2 };
export const WEB: Corpus = { name: 'web', from: 0.3, to: 2 };
export const CORPORA: readonly Corpus[] = [THUMBNAILS, WEB, { name: 'camera', from: 4, to: 12 }];

export interface Sized {
  readonly width: number;
  readonly height: number;
}

/** Log-uniform areas, sides between 2:3 and 3:2, no size twice; the same ones each time. */
function sizesOf({ from, to }: Corpus, count: number): Sized[] {
  const random = seeded(20_261_122);
  const sizes = new Map<string, Sized>();
  while (sizes.size < count) {
    const area = from * (to / from) ** random() * 1e6;
    const aspect = (2 / 3) ** (2 * random() - 1);
    const width = Math.round(Math.sqrt(area * aspect));
    const height = Math.round(Math.sqrt(area / aspect));
    sizes.set(`${width}x${height}`, { width, height });
  }
  return [...sizes.values()];
}

export async function picture({ width, height }: Sized): Promise<Buffer> {
  const photo = join(root, 'test/fixtures/photos/coffee.jpg');
  return sharp(photo).resize(width, height, { fit: 'fill', kernel: 'nearest' }).jpeg({ quality: 80 }).toBuffer();
}

export interface Uploaded extends Sized {
  readonly uri: string;
}

/** The pictures of each corpus, uploaded once to each place: the cells of a benchmark share them. */
export function corpusUploader(place: Place, count: number): (corpus: Corpus) => Promise<Uploaded[]> {
  const uploads = new Map<Corpus, Promise<Uploaded[]>>();
  return (corpus) => {
    const uploaded = uploads.get(corpus) ?? uploadPictures(place, corpus, count);
    uploads.set(corpus, uploaded);
    return uploaded;
  };
}

interface Place {
  upload(name: string, bytes: Buffer): Promise<string>;
}

export async function uploadPictures(
  place: Place,
  corpus: Corpus,
  count: number,
  folder: string = corpus.name,
): Promise<Uploaded[]> {
  const uploaded: Uploaded[] = [];
  for (const size of sizesOf(corpus, count))
    uploaded.push(await uploadPicture(place, size, await picture(size), folder));
  return uploaded;
}

/** Makes the pictures of a corpus once, so that several stacks get the same. @returns a function that uploads them to one */
export async function pictureMaker(corpus: Corpus, count: number): Promise<(place: Place) => Promise<Uploaded[]>> {
  const made: { readonly size: Sized; readonly bytes: Buffer }[] = [];
  for (const size of sizesOf(corpus, count)) made.push({ size, bytes: await picture(size) });
  return (place) => Promise.all(made.map(({ size, bytes }) => uploadPicture(place, size, bytes, corpus.name)));
}

async function uploadPicture(place: Place, size: Sized, bytes: Buffer, folder: string): Promise<Uploaded> {
  return { ...size, uri: await place.upload(`${folder}/${size.width}x${size.height}.jpg`, bytes) };
}
