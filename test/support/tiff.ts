/** TIFF and GIF files written byte by byte: what sharp cannot be asked for, and what has to be known to the bit. */
import { deflateSync } from 'node:zlib';

/** A value, or several, of a tag: SHORT unless the type is said. */
export interface TiffTag {
  readonly tag: number;
  readonly type?: 'byte' | 'ascii' | 'short' | 'long' | 'rational';
  readonly values: readonly number[];
}

export interface TiffOptions {
  readonly width: number;
  readonly height: number;
  /** Channels of one pixel, each a number of the depth; the first is the most significant bit of depths below 8. */
  readonly pixel: (x: number, y: number) => readonly number[];
  readonly photometric: number;
  readonly bits?: 1 | 4 | 8 | 16;
  readonly order?: 'II' | 'MM';
  readonly big?: boolean;
  readonly rowsPerStrip?: number;
  readonly tile?: number;
  readonly planar?: boolean;
  readonly pack?: 'none' | 'deflate' | 'packBits';
  readonly tags?: readonly TiffTag[];
  /** Directories that an entry of the first one points to, as for EXIF. */
  readonly below?: readonly { readonly tag: number; readonly tags: readonly TiffTag[] }[];
  /** How many pages it has, all alike. */
  readonly pages?: number;
  /** The bytes of segments, changed. */
  readonly spoil?: (segment: Buffer, i: number) => Buffer;
}

const TYPES = { byte: [1, 1], ascii: [2, 1], short: [3, 2], long: [4, 4], rational: [5, 4], long8: [16, 8] } as const;
const CODES = { none: 1, deflate: 8, packBits: 32_773 } as const;

/** PackBits with runs of literals only. */
function literally(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 128) {
    const part = bytes.subarray(at, at + 128);
    parts.push(Buffer.from([part.length - 1]), part);
  }
  return Buffer.concat(parts);
}

export function tiff(options: TiffOptions): Buffer {
  const { width, height, bits = 8, order = 'II', big = false, pack = 'none', tags = [], pages = 1 } = options;
  const write = (value: number, size: number): Buffer => {
    const bytes = Buffer.alloc(size);
    if (size === 8) bytes[order === 'II' ? 'writeBigUInt64LE' : 'writeBigUInt64BE'](BigInt(value));
    else bytes[order === 'II' ? 'writeUIntLE' : 'writeUIntBE'](value, 0, size);
    return bytes;
  };
  const word = big ? 8 : 4;
  const samples = options.pixel(0, 0).length;
  const packed = packer(pack);
  const segments = segmentsOf(options, samples, write).map((one, i) =>
    (options.spoil ?? ((same) => same))(packed(one), i),
  );
  const parts: Buffer[] = [
    Buffer.from(order, 'latin1'),
    ...(big ? [write(43, 2), write(8, 2), write(0, 2)] : [write(42, 2)]),
    write(0, word),
  ];
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  const put = (part: Buffer) => {
    const at = length + (length & 1);
    parts.push(Buffer.alloc(at - length), part);
    length = at + part.length;
    return at;
  };
  const offsets = segments.map(put);
  const down = options.tile ?? options.rowsPerStrip ?? height;
  const own: readonly (TiffTag & { readonly type?: keyof typeof TYPES })[] = [
    { tag: 256, type: 'long', values: [width] },
    { tag: 257, type: 'long', values: [height] },
    { tag: 258, values: Array<number>(samples).fill(bits) },
    { tag: 259, values: [CODES[pack]] },
    { tag: 262, values: [options.photometric] },
    { tag: 277, values: [samples] },
    { tag: 284, values: [options.planar ? 2 : 1] },
    ...(options.tile === undefined
      ? [{ tag: 278, values: [down] }]
      : [
          { tag: 322, values: [options.tile] },
          { tag: 323, values: [options.tile] },
        ]),
    { tag: options.tile === undefined ? 273 : 324, type: 'long', values: offsets },
    { tag: options.tile === undefined ? 279 : 325, type: 'long', values: segments.map((one) => one.length) },
  ];
  const all = [...own.filter(({ tag }) => !tags.some((one) => one.tag === tag)), ...tags].sort((a, b) => a.tag - b.tag);
  const putDirectory = (tagged: readonly (TiffTag & { readonly type?: keyof typeof TYPES })[]) => {
    const entries = tagged.map(({ tag, type = 'short', values }) => {
      const [code, size] = TYPES[type];
      const bytes = Buffer.concat(values.map((value) => write(value, size)));
      const inPlace =
        bytes.length <= word ? Buffer.concat([bytes, Buffer.alloc(word - bytes.length)]) : write(put(bytes), word);
      return Buffer.concat([
        write(tag, 2),
        write(code, 2),
        write(values.length / (type === 'rational' ? 2 : 1), word),
        inPlace,
      ]);
    });
    return put(Buffer.concat([write(tagged.length, big ? 8 : 2), ...entries, write(0, word)]));
  };
  const pointers = (options.below ?? []).map((one) => ({
    ...{ tag: one.tag, type: 'long' as const, values: [putDirectory(one.tags)] },
  }));
  const whole = [...all, ...pointers].sort((a, b) => a.tag - b.tag);
  let link = big ? 8 : 4;
  for (let page = 0; page < pages; page++) {
    const at = putDirectory(whole);
    patch(parts, link, write(at, word));
    link = length - word;
  }
  return Buffer.concat(parts);
}

/** Overwrites bytes at an offset of the joined parts. */
function patch(parts: Buffer[], at: number, bytes: Buffer): void {
  const joined = Buffer.concat(parts);
  bytes.copy(joined, at);
  parts.splice(0, parts.length, joined);
}

function packer(pack: 'none' | 'deflate' | 'packBits'): (bytes: Buffer) => Buffer {
  return pack === 'deflate' ? (bytes) => deflateSync(bytes) : pack === 'packBits' ? literally : (bytes) => bytes;
}

function segmentsOf(options: TiffOptions, samples: number, write: (value: number, size: number) => Buffer): Buffer[] {
  const { width, height, pixel, bits = 8, tile, planar = false } = options;
  const [across, down] = [tile ?? width, tile ?? options.rowsPerStrip ?? height];
  const row = (x0: number, y: number, channel?: number): Buffer => {
    const values = Array.from({ length: across }, (_, i) => {
      const all = x0 + i < width && y < height ? pixel(x0 + i, y) : Array<number>(samples).fill(0);
      return channel === undefined ? all : [all[channel] ?? 0];
    }).flat();
    if (bits === 16) return Buffer.concat(values.map((value) => write(value, 2)));
    if (bits === 8) return Buffer.from(values);
    const bytes = Buffer.alloc(Math.ceil((values.length * bits) / 8));
    values.forEach((value, i) => {
      const at = Math.floor((i * bits) / 8);
      bytes[at] = (bytes[at] ?? 0) | (value << (8 - bits - ((i * bits) % 8)));
    });
    return bytes;
  };
  const segments: Buffer[] = [];
  for (const channel of planar ? Array.from({ length: samples }, (_, i) => i) : [undefined]) {
    for (let y = 0; y < height; y += down) {
      for (let x = 0; x < width; x += across) {
        const rows = tile ?? Math.min(down, height - y);
        segments.push(Buffer.concat(Array.from({ length: rows }, (_, i) => row(x, y + i, channel))));
      }
    }
  }
  return segments;
}

export interface GifFrame {
  readonly left?: number;
  readonly top?: number;
  readonly width: number;
  readonly height: number;
  /** Index of a colour in a palette of four. */
  readonly pixel: (x: number, y: number) => number;
  readonly palette?: readonly number[];
  readonly transparent?: number;
  readonly interlaced?: boolean;
}

const FOUR = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];

/** A GIF of four colours. @param palette without it, frames need their own */
export function gif(
  [width, height]: readonly [number, number],
  frames: readonly GifFrame[],
  palette: readonly number[] | undefined = FOUR,
): Buffer {
  const head = Buffer.alloc(13);
  head.write('GIF89a', 'latin1');
  head.writeUInt16LE(width, 6);
  head.writeUInt16LE(height, 8);
  head[10] = palette.length > 0 ? 0x81 : 0;
  return Buffer.concat([head, Buffer.from(palette), ...frames.map(gifFrame), Buffer.from([0x3b])]);
}

function gifFrame({
  left = 0,
  top = 0,
  width,
  height,
  pixel,
  palette = [],
  transparent,
  interlaced = false,
}: GifFrame) {
  const control = transparent === undefined ? [] : [0x21, 0xf9, 4, 1, 0, 0, transparent, 0];
  const head = Buffer.alloc(10);
  head[0] = 0x2c;
  [left, top, width, height].forEach((value, i) => head.writeUInt16LE(value, 1 + i * 2));
  head[9] = (palette.length > 0 ? 0x81 : 0) | (interlaced ? 0x40 : 0);
  const rows = Array.from({ length: height }, (_, y) => y);
  const passes = [rows.filter((y) => y % 8 === 0), rows.filter((y) => y % 8 === 4), rows.filter((y) => y % 4 === 2)];
  const order = interlaced ? [...passes.flat(), ...rows.filter((y) => y % 2 === 1)] : rows;
  const codes = order.flatMap((y) => Array.from({ length: width }, (_, x) => pixel(x, y)));
  return Buffer.concat([Buffer.from(control), head, Buffer.from(palette), Buffer.from([2]), subBlocks(lzwOf(codes))]);
}

/** Codes of three bits, with a clear code before each pair, so that they never grow. */
export function lzwOf(pixels: readonly number[]): Buffer {
  const codes = [...pixels.flatMap((pixel, i) => (i % 2 === 0 ? [4, pixel] : [pixel])), 5];
  const bytes = Buffer.alloc(Math.ceil((codes.length * 3) / 8));
  codes.forEach((code, i) => {
    for (let bit = 0; bit < 3; bit++) {
      const at = i * 3 + bit;
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (((code >> bit) & 1) << (at & 7));
    }
  });
  return bytes;
}

export function subBlocks(data: Buffer, size = 255): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) {
    const part = data.subarray(at, at + size);
    parts.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat([...parts, Buffer.from([0])]);
}
