/** Small pictures, one of every kind that is accepted: what the hostile files are made from. */
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import type { InputFormat } from '../../../src/domain/job.js';
import { adobeRgbProfile, cmykProfile, greyProfile } from '../icc.js';
import { cmykJpeg, exif, png, withJpegProfile, withSegment } from '../pictures.js';
import { gif, tiff } from '../tiff.js';
import { alphaOf, avif, coded, grid, picture } from './avif.js';

export interface Seed {
  readonly name: string;
  readonly format: InputFormat;
  readonly bytes: Buffer;
}

const SIZE = { width: 40, height: 24 };
const HALF = { width: 20, height: 12 };

const XMP = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
  xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>`;

/** Something to see, so that the coded data have more than one byte in them. */
function scene(channels: 3 | 4 = 3, { width, height } = SIZE, shift = 0): Sharp {
  const data = Buffer.alloc(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    data.set(
      [(x * 6 + shift) & 255, (y * 10 + shift) & 255, (x * y) & 255, 255 - x * 5].slice(0, channels),
      i * channels,
    );
  }
  return sharp(data, { raw: { width, height, channels } });
}

export async function seeds(): Promise<readonly Seed[]> {
  const makers: Record<Seed['format'], Record<string, () => Buffer | Promise<Buffer>>> = {
    jpeg: {
      baseline: () => scene().jpeg().toBuffer(),
      fine: () => scene().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(),
      progressive: () => scene().jpeg({ progressive: true }).toBuffer(),
      grey: () => scene().toColourspace('b-w').jpeg().toBuffer(),
      cmyk: () => cmykJpeg(SIZE, [200, 30, 90, 5]),
      'cmyk-icc': async () =>
        withJpegProfile(
          await cmykJpeg(SIZE, [200, 30, 90, 5]),
          cmykProfile((inks) => [inks * 6, 10, -10]),
        ),
      'grey-icc': async () => withJpegProfile(await scene().toColourspace('b-w').jpeg().toBuffer(), greyProfile(1.8)),
      'icc-exif': async () => {
        const described = withJpegProfile(await scene().jpeg().toBuffer(), adobeRgbProfile());
        return withSegment(described, 0xe1, exif(6, await scene(3, HALF).jpeg().toBuffer()));
      },
      xmp: () => scene().withXmp(XMP).jpeg().toBuffer(),
    },
    png: {
      plain: () => scene().png().toBuffer(),
      alpha: () => scene(4).png().toBuffer(),
      deep: () => scene(4).toColourspace('rgb16').png().toBuffer(),
      'deep-icc': () => scene().toColourspace('rgb16').withIccProfile('p3').png().toBuffer(),
      palette: () => scene(4).png({ palette: true }).toBuffer(),
      interlaced: () => scene(4).png({ progressive: true }).toBuffer(),
      grey: () => scene().toColourspace('b-w').png().toBuffer(),
      bits: () => png({ ...SIZE, colour: 'grey', depth: 1, pixel: (x, y) => [(x * y) & 255] }),
      'icc-exif-text': () =>
        png({
          ...{ ...SIZE, colour: 'rgb', depth: 8, pixel: (x, y) => [x, y, x * y], icc: adobeRgbProfile() },
          chunks: {
            gAMA: Buffer.from([0, 0, 0xb1, 0x8f]),
            tEXt: Buffer.from('Title\0hostile', 'latin1'),
            zTXt: Buffer.concat([Buffer.from('Comment\0\0', 'latin1'), deflateSync(Buffer.alloc(1000, 65))]),
            iTXt: Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${XMP}`, 'latin1'),
            eXIf: exif(6).subarray(6),
          },
        }),
      animated: () =>
        png({
          ...{ ...HALF, colour: 'rgb', depth: 8, pixel: (x, y) => [x, y, 9] },
          chunks: {
            acTL: Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]),
            fcTL: Buffer.from([0, 0, 0, 0, 0, 0, 0, HALF.width, 0, 0, 0, HALF.height, ...Array<number>(14).fill(0)]),
          },
        }),
    },
    webp: {
      lossy: () => scene().webp().toBuffer(),
      lossless: () => scene().webp({ lossless: true }).toBuffer(),
      alpha: () => scene(4).webp().toBuffer(),
      'lossless-alpha': () => scene(4).webp({ lossless: true }).toBuffer(),
      'icc-exif-xmp': () =>
        scene(4)
          .withIccProfile('p3')
          .withExif({ IFD0: { Artist: 'x' } })
          .withXmp(XMP)
          .webp()
          .toBuffer(),
      animated: async () => {
        const frames = await Promise.all([0, 90, 180].map((shift) => scene(4, SIZE, shift).png().toBuffer()));
        return sharp(frames, { join: { animated: true } })
          .webp()
          .toBuffer();
      },
    },
    avif: {
      plain: () => scene().avif({ effort: 0 }).toBuffer(),
      alpha: () => scene(4).avif({ effort: 0 }).toBuffer(),
      deep: () => scene().avif({ effort: 0, bitdepth: 10, chromaSubsampling: '4:4:4' }).toBuffer(),
      'icc-exif-xmp': () =>
        scene()
          .withIccProfile('p3')
          .withExif({ IFD0: { Artist: 'x' } })
          .withXmp(XMP)
          .avif({ effort: 0 })
          .toBuffer(),
      turned: () => scene().withMetadata({ orientation: 6 }).avif({ effort: 0 }).toBuffer(),
      grid: async () => {
        const cell = { width: 64, height: 64 };
        return avif([
          grid(2, 1, { width: 100, height: 64 }, [2, 3]),
          picture(await coded(cell), cell),
          picture(await coded(cell), cell),
        ]);
      },
      'own-alpha': async () => avif([picture(await coded(SIZE), SIZE), alphaOf(await coded(SIZE, true), SIZE, 1)]),
    },
    tiff: {
      plain: () => scene().tiff({ compression: 'none' }).toBuffer(),
      lzw: () => scene(4).tiff({ compression: 'lzw' }).toBuffer(),
      deflate: () => scene().tiff({ compression: 'deflate', tile: true, tileWidth: 16, tileHeight: 16 }).toBuffer(),
      jpeg: () => scene().tiff({ compression: 'jpeg' }).toBuffer(),
      packbits: () => scene().toColourspace('rgb16').tiff({ compression: 'packbits', bigtiff: true }).toBuffer(),
      fax: () =>
        scene().toColourspace('b-w').tiff({ compression: 'ccittfax4', bitdepth: 1, predictor: 'none' }).toBuffer(),
      'big-endian': () =>
        tiff({ ...SIZE, order: 'MM', pixel: (x, y) => [x, y, 9], photometric: 2, rowsPerStrip: 5, pages: 2 }),
      'icc-xmp': () => scene(4).withIccProfile('p3').withXmp(XMP).tiff().toBuffer(),
    },
    gif: {
      plain: () => scene().gif().toBuffer(),
      interlaced: () => scene(4).gif({ progressive: true, colours: 5 }).toBuffer(),
      small: () => gif([40, 24], [{ left: 3, top: 2, width: 30, height: 20, pixel: (x, y) => (x * y) % 4 }]),
      animated: () =>
        gif(
          [40, 24],
          [
            { ...SIZE, pixel: (x) => x % 4, palette: Array<number>(12).fill(7), transparent: 1 },
            { ...SIZE, pixel: (_x, y) => y % 4 },
          ],
        ),
    },
  };
  const made: Seed[] = [];
  for (const [format, named] of Object.entries(makers)) {
    for (const [name, make] of Object.entries(named)) {
      made.push({ name: `${format}-${name}`, format: format as Seed['format'], bytes: await make() });
    }
  }
  return made;
}
