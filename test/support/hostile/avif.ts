/** AVIF files put together box by box (ISO/IEC 14496-12, 23008-12), so that their header can say what an encoder would not. */
import sharp, { type AvifOptions } from 'sharp';
import type { Size } from '../../../src/domain/raster.js';

/** A coded picture as an encoder made it: its pixels and their av1C property. */
export interface Coded {
  readonly data: Buffer;
  readonly config: Buffer;
}

export interface Item {
  readonly type: 'av01' | 'grid' | 'iovl' | 'iden' | 'hvc1' | 'jpeg' | 'Exif';
  readonly data: Buffer;
  /** Boxes; those of an av01 are its size and its av1C. */
  readonly properties: readonly Buffer[];
  /** The items that it is made of, or that it belongs to. */
  readonly refers?: { readonly as: 'dimg' | 'auxl' | 'cdsc'; readonly to: readonly number[] };
}

/** Items are numbered from 1; the first is the picture. */
export function avif(items: readonly Item[], { brand = 'avif', primary = 1 } = {}): Buffer {
  const ftyp = box('ftyp', Buffer.from(`${brand}\0\0\0\0avifmif1miaf`, 'latin1'));
  const ipco = items.flatMap(({ properties }) => properties);
  let property = 0;
  const ipma = items.map(({ properties }, i) =>
    Buffer.concat([u16(i + 1), Buffer.from([properties.length]), ...properties.map(() => u16(0x8000 | ++property))]),
  );
  const references = items.flatMap(({ refers }, i) =>
    refers ? [box(refers.as, Buffer.concat([u16(i + 1), u16(refers.to.length), ...refers.to.map(u16)]))] : [],
  );
  const meta = (start: number) => {
    let offset = start;
    const places = items.map(({ data }, i) => {
      const place = Buffer.concat([u16(i + 1), u16(0), u16(1), u32(offset), u32(data.length)]);
      offset += data.length;
      return place;
    });
    return fullBox(
      'meta',
      Buffer.concat([
        fullBox('hdlr', Buffer.from('\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0', 'latin1')),
        fullBox('pitm', u16(primary)),
        fullBox('iloc', Buffer.concat([Buffer.from([0x44, 0]), u16(items.length), ...places])),
        fullBox(
          'iinf',
          Buffer.concat([
            u16(items.length),
            ...items.map(({ type }, i) =>
              fullBox('infe', Buffer.concat([u16(i + 1), u16(0), Buffer.from(`${type}\0`, 'latin1')]), 2),
            ),
          ]),
        ),
        ...(references.length > 0 ? [fullBox('iref', Buffer.concat(references))] : []),
        box(
          'iprp',
          Buffer.concat([
            box('ipco', Buffer.concat(ipco)),
            fullBox('ipma', Buffer.concat([u32(items.length), ...ipma]), 0, 1),
          ]),
        ),
      ]),
    );
  };
  const start = ftyp.length + meta(0).length + 8;
  return Buffer.concat([ftyp, meta(start), box('mdat', Buffer.concat(items.map(({ data }) => data)))]);
}

/** The picture of one colour, coded; large ones too, since they are few bytes. */
export async function coded(
  { width, height }: Size,
  grey = false,
  background = '#864',
  options: AvifOptions = {},
): Promise<Coded> {
  const solid = sharp({ create: { width, height, channels: 3, background }, limitInputPixels: false });
  const file = await (grey ? solid.toColourspace('b-w') : solid).avif({ effort: 0, ...options }).toBuffer();
  const mdat = file.indexOf('mdat', 0, 'latin1');
  const av1C = file.indexOf('av1C', 0, 'latin1');
  return { data: file.subarray(mdat + 4), config: file.subarray(av1C - 4, av1C - 4 + file.readUInt32BE(av1C - 4)) };
}

export const picture = ({ data, config }: Coded, size: Size): Item => ({
  type: 'av01',
  data,
  properties: [ispe(size), config],
});

/** The same, with a colour space by its numbers. */
export const inColours = (item: Item, primaries: number, transfer: number): Item => ({
  ...item,
  properties: [
    ...item.properties,
    box('colr', Buffer.concat([Buffer.from('nclx'), u16(primaries), u16(transfer), u16(6), Buffer.from([128])])),
  ],
});

/** The same as the transparency of another item. */
export const alphaOf = (coded: Coded, size: Size, item: number): Item => ({
  ...picture(coded, size),
  properties: [
    ispe(size),
    coded.config,
    fullBox('auxC', Buffer.from('urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0', 'latin1')),
  ],
  refers: { as: 'auxl', to: [item] },
});

/** @param says the size of the whole, which cells may exceed */
export function grid(columns: number, rows: number, says: Size, cells: readonly number[]): Item {
  const data = Buffer.concat([Buffer.from([0, 1, rows - 1, columns - 1]), u32(says.width), u32(says.height)]);
  return { type: 'grid', data, properties: [ispe(says)], refers: { as: 'dimg', to: cells } };
}

/** EXIF whose place stands behind that of so many items, each in so many pieces of which nothing but the number is written. */
export function placesOfNothing(items: number, pieces: number): Buffer {
  const info = (id: number, type: string) =>
    fullBox('infe', Buffer.concat([u16(id), u16(0), Buffer.from(`${type}\0`)]), 2);
  const places = Buffer.alloc(items * 6, Buffer.concat([u16(5), u16(0), u16(pieces)]));
  const of1 = Buffer.concat([u32(1), u16(1), Buffer.from([1, 1])]);
  const meta = [
    fullBox('pitm', u16(1)),
    fullBox('iinf', Buffer.concat([u16(2), info(1, 'av01'), info(2, 'Exif')])),
    fullBox('iloc', Buffer.concat([Buffer.from([0, 0]), u16(items), places])),
    box('iprp', Buffer.concat([box('ipco', ispe({ width: 64, height: 64 })), fullBox('ipma', of1)])),
  ];
  return Buffer.concat([box('ftyp', Buffer.from('avif\0\0\0\0avifmif1')), fullBox('meta', Buffer.concat(meta))]);
}

export const ispe = ({ width, height }: Size): Buffer => fullBox('ispe', Buffer.concat([u32(width), u32(height)]));

export function box(type: string, content: Buffer): Buffer {
  return Buffer.concat([u32(content.length + 8), Buffer.from(type, 'latin1'), content]);
}

function fullBox(type: string, content: Buffer, version = 0, flags = 0): Buffer {
  return box(type, Buffer.concat([u32(version * 2 ** 24 + flags), content]));
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
