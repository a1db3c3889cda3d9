/** Sound pictures in every format, by many options of their encoders: what may never be refused. */
import sharp, { type Sharp } from 'sharp';
import type { InputFormat } from '../../../src/domain/job.js';

/** A random whole number from 0 to below the given one. */
export type Chance = (below: number) => number;

export interface SoundFile {
  readonly name: string;
  readonly format: InputFormat;
  readonly bytes: Buffer;
}

/** A picture with even areas, edges and noise; of any size from 1 to 320 pixels a side, mostly odd ones. */
export function scene(chance: Chance, channels: 1 | 3 | 4, least = 1): Sharp {
  const side = () => least + chance(4 ** (1 + chance(4)) + 1);
  const [width, height] = [side(), side()];
  const data = Buffer.alloc(width * height * channels);
  const [period, noise, flat] = [4 + chance(60), chance(3) * chance(40), chance(3) === 0];
  const colour = [chance(256), chance(256), chance(256)];
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const isInside = (x * 3 + y * 2) % (period * 2) < period || (flat && y > height / 3);
    for (let c = 0; c < channels; c++) {
      const level =
        flat && isInside ? (colour[c] ?? 128) : isInside ? 128 + 90 * Math.sin((x + c * 9) / period) : (y * 4) & 255;
      data[i * channels + c] = Math.max(0, Math.min(255, level + (flat ? 0 : chance(noise + 1) - noise / 2)));
    }
  }
  return sharp(data, { raw: { width, height, channels } });
}

type Maker = (chance: Chance, least: number, quality: number) => Promise<Omit<SoundFile, 'format'>>;

const picker =
  (chance: Chance) =>
  <T>(...values: readonly [T, ...T[]]): T =>
    values[chance(values.length)] ?? values[0];

const jpeg: Maker = async (chance, least, quality) => {
  const grey = chance(6) === 0;
  const options = {
    ...{ quality, progressive: chance(2) === 0, optimiseCoding: chance(2) === 0, mozjpeg: chance(6) === 0 },
    ...{
      trellisQuantisation: chance(4) === 0,
      overshootDeringing: chance(4) === 0,
      optimiseScans: chance(4) === 0,
    },
    ...{ quantisationTable: chance(9), chromaSubsampling: picker(chance)('4:4:4', '4:2:0') },
  };
  const picture = scene(chance, grey ? 1 : 3, least);
  const bytes = await (grey ? picture.toColourspace('b-w') : picture).jpeg(options).toBuffer();
  return { name: `jpeg ${JSON.stringify(options)}`, bytes };
};

const png: Maker = async (chance, least, quality) => {
  const channels = picker(chance)<1 | 3 | 4>(1, 3, 4);
  const options = { progressive: chance(2) === 0, palette: chance(3) === 0, compressionLevel: chance(10), quality };
  const picture = scene(chance, channels, least);
  const deep = !options.palette && chance(4) === 0;
  const bytes = await (deep ? picture.toColourspace(channels === 1 ? 'grey16' : 'rgb16') : picture)
    .png(options)
    .toBuffer();
  return { name: `png ${channels} ${deep} ${JSON.stringify(options)}`, bytes };
};

const webp: Maker = async (chance, least, quality) => {
  const options = {
    quality,
    lossless: chance(2) === 0,
    alphaQuality: quality,
    nearLossless: chance(5) === 0,
    effort: chance(4),
  };
  const bytes = await scene(chance, picker(chance)<3 | 4>(3, 4), least).webp(options).toBuffer();
  return { name: `webp ${JSON.stringify(options)}`, bytes };
};

const avif: Maker = async (chance, least, quality) => {
  const pick = picker(chance);
  const options = {
    ...{ quality, effort: 0, lossless: chance(8) === 0, bitdepth: pick<8 | 10 | 12>(8, 10, 12) },
    chromaSubsampling: pick('4:4:4', '4:2:0'),
  };
  const bytes = await scene(chance, pick<3 | 4>(3, 4), Math.max(16, least)).avif(options).toBuffer();
  return { name: `avif ${JSON.stringify(options)}`, bytes };
};

const tiff: Maker = async (chance, least, quality) => {
  const pick = picker(chance);
  const bilevel = chance(6) === 0;
  const compression = bilevel
    ? pick('ccittfax4', 'lzw', 'none', 'deflate')
    : pick('none', 'lzw', 'lzw', 'deflate', 'packbits', 'jpeg');
  const channels = bilevel ? 1 : compression === 'jpeg' ? pick<1 | 3>(1, 3) : pick<1 | 3 | 4>(1, 3, 4);
  const deep = !bilevel && compression !== 'jpeg' && chance(3) === 0;
  const options = {
    ...{ quality, compression, bigtiff: chance(5) === 0, xres: 1 + chance(20), yres: 1 + chance(20) },
    ...(bilevel
      ? { bitdepth: 1 as const, miniswhite: chance(2) === 0, predictor: 'none' }
      : { predictor: pick('none', 'horizontal') }),
    ...(chance(3) === 0 ? { tile: true, tileWidth: 16 * (1 + chance(8)), tileHeight: 16 * (1 + chance(8)) } : {}),
  };
  const picture = scene(chance, channels, least);
  const space = deep ? (channels === 1 ? 'grey16' : 'rgb16') : channels === 1 ? 'b-w' : 'srgb';
  const bytes = await picture.toColourspace(space).tiff(options).toBuffer();
  return { name: `tiff ${channels} ${deep} ${JSON.stringify(options)}`, bytes };
};

const gif: Maker = async (chance, least) => {
  const options = { progressive: chance(2) === 0, colours: 2 + chance(255), dither: chance(2), effort: 1 + chance(4) };
  const frames = chance(3) === 0 ? 3 : 1;
  const first = await scene(chance, picker(chance)<3 | 4>(3, 4), least).png().toBuffer();
  const other = await sharp(first).negate({ alpha: false }).png().toBuffer();
  const picture = frames === 1 ? sharp(first) : sharp([first, other, first], { join: { animated: true } });
  const bytes = await picture.gif(options).toBuffer();
  return { name: `gif ${frames} ${JSON.stringify(options)}`, bytes };
};

const MAKERS: Readonly<Record<InputFormat, Maker>> = { jpeg, png, webp, avif, tiff, gif };
const OFTEN = ['jpeg', 'jpeg', 'jpeg', 'png', 'png', 'webp', 'webp', 'avif', 'tiff', 'tiff', 'tiff', 'gif'] as const;

/**
 * @param least side of the picture in pixels
 * @param formats chosen from by chance
 */
export async function soundFile(
  chance: Chance,
  least = 1,
  formats: readonly InputFormat[] = OFTEN,
): Promise<SoundFile> {
  const format = formats[chance(formats.length)] ?? 'jpeg';
  return { format, ...(await MAKERS[format](chance, least, 1 + chance(100))) };
}
