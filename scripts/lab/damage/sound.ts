/** Sound pictures in every format, by many options of their encoders: what may never be refused. */
import sharp, { type Sharp } from 'sharp';

/** A random whole number from 0 to below the given one. */
export type Chance = (below: number) => number;

export interface SoundFile {
  readonly name: string;
  readonly format: 'jpeg' | 'png' | 'webp' | 'avif';
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

/** @param least side of the picture in pixels */
export async function soundFile(chance: Chance, least = 1): Promise<SoundFile> {
  const format = (['jpeg', 'jpeg', 'jpeg', 'png', 'png', 'webp', 'webp', 'avif'] as const)[chance(8)] ?? 'jpeg';
  const pick = <T>(...values: readonly [T, ...T[]]): T => values[chance(values.length)] ?? values[0];
  const quality = 1 + chance(100);
  switch (format) {
    case 'jpeg': {
      const grey = chance(6) === 0;
      const options = {
        ...{ quality, progressive: chance(2) === 0, optimiseCoding: chance(2) === 0, mozjpeg: chance(6) === 0 },
        ...{
          trellisQuantisation: chance(4) === 0,
          overshootDeringing: chance(4) === 0,
          optimiseScans: chance(4) === 0,
        },
        ...{ quantisationTable: chance(9), chromaSubsampling: pick('4:4:4', '4:2:0') },
      };
      const picture = scene(chance, grey ? 1 : 3, least);
      const bytes = await (grey ? picture.toColourspace('b-w') : picture).jpeg(options).toBuffer();
      return { name: `jpeg ${JSON.stringify(options)}`, format, bytes };
    }
    case 'png': {
      const channels = pick<1 | 3 | 4>(1, 3, 4);
      const options = { progressive: chance(2) === 0, palette: chance(3) === 0, compressionLevel: chance(10), quality };
      const picture = scene(chance, channels, least);
      const deep = !options.palette && chance(4) === 0;
      const bytes = await (deep ? picture.toColourspace(channels === 1 ? 'grey16' : 'rgb16') : picture)
        .png(options)
        .toBuffer();
      return { name: `png ${channels} ${deep} ${JSON.stringify(options)}`, format, bytes };
    }
    case 'webp': {
      const options = {
        quality,
        lossless: chance(2) === 0,
        alphaQuality: quality,
        nearLossless: chance(5) === 0,
        effort: chance(4),
      };
      const bytes = await scene(chance, pick<3 | 4>(3, 4), least).webp(options).toBuffer();
      return { name: `webp ${JSON.stringify(options)}`, format, bytes };
    }
    case 'avif': {
      const options = {
        ...{ quality, effort: 0, lossless: chance(8) === 0, bitdepth: pick<8 | 10 | 12>(8, 10, 12) },
        chromaSubsampling: pick('4:4:4', '4:2:0'),
      };
      const bytes = await scene(chance, pick<3 | 4>(3, 4), Math.max(16, least)).avif(options).toBuffer();
      return { name: `avif ${JSON.stringify(options)}`, format, bytes };
    }
  }
}
