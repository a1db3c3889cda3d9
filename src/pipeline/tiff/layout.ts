/** How the pixels of a TIFF are stored, and whether the worker reads files of this kind. */
import { JobError } from '../../domain/errors.js';
import { damaged, type Directory, TAG, type TiffBytes } from './directory.js';

export const COMPRESSION = {
  none: 1,
  fax: 4,
  lzw: 5,
  jpeg: 7,
  deflate: [8, 32_946],
  packBits: 32_773,
} as const;
const READ: readonly number[] = [1, 4, 5, 7, 8, 32_946, 32_773];
const NAMES: Readonly<Record<number, string>> = {
  2: 'fax, group 3: save it as group 4',
  3: 'fax, group 3: save it as group 4',
  6: 'JPEG of before TIFF 6, technical note 2',
  34_712: 'JPEG 2000',
  34_925: 'LZMA',
  50_000: 'Zstandard',
  50_001: 'WebP',
};
const PHOTOMETRIC = { white: 0, black: 1, rgb: 2, palette: 3, inks: 5, ycbcr: 6 } as const;
/** Channels of a colour, and the bits that a channel may have. */
const COLOURS: Readonly<Record<number, { readonly channels: number; readonly bits: readonly number[] }>> = {
  [PHOTOMETRIC.white]: { channels: 1, bits: [1, 4, 8, 16] },
  [PHOTOMETRIC.black]: { channels: 1, bits: [1, 4, 8, 16] },
  [PHOTOMETRIC.rgb]: { channels: 3, bits: [8, 16] },
  [PHOTOMETRIC.palette]: { channels: 1, bits: [1, 4, 8] },
  [PHOTOMETRIC.inks]: { channels: 4, bits: [8, 16] },
  [PHOTOMETRIC.ycbcr]: { channels: 3, bits: [8] },
};
const OTHER_COLOURS: Readonly<Record<number, string>> = {
  8: 'Lab colours: convert it to RGB',
  32_803: "a camera's raw picture: develop it first",
  34_892: "a camera's raw picture: develop it first",
};

/** A strip or a tile. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  /** Bytes that its pixels need, and bytes that a full one has. */
  readonly least: number;
  readonly most: number;
  readonly rows: number;
}

export interface Layout {
  readonly compression: number;
  readonly reversedBits: boolean;
  /** Pixels across a segment. */
  readonly across: number;
  readonly segments: readonly Segment[];
  /** Pixels in all segments together, those beyond the borders included. */
  readonly codedPixels: number;
}

export function unsupportedTiff(what: string): JobError {
  return new JobError('UNSUPPORTED_FORMAT', `expected a TIFF of a kind in docs/pixels.md, given one of ${what}`);
}

/**
 * @throws JobError `UNSUPPORTED_FORMAT` for a kind that is not read; `INPUT_CORRUPT` for pixels that are not all in the file
 */
export function layoutOf(file: TiffBytes, first: Directory): Layout {
  const [width, height] = [first.number(TAG.width), first.number(TAG.height)];
  if (width < 1 || height < 1) throw damaged('it has no size');
  const { compression, bits, samples } = kindOf(first);
  const planes = samples > 1 && first.number(TAG.planar, 1) === 2 ? samples : 1;
  const isTiled = first.has(TAG.tileWidth);
  if (isTiled && planes > 1) throw unsupportedTiff('tiles for each channel apart');
  const across = isTiled ? first.number(TAG.tileWidth) : width;
  const down = isTiled ? first.number(TAG.tileHeight) : Math.min(height, first.number(TAG.rowsPerStrip, height));
  if (across < 1 || down < 1) throw damaged('its strips or tiles have no size');
  if (isTiled && (across % 16 !== 0 || down % 16 !== 0)) throw damaged('its tiles are not of multiples of 16 pixels');
  const each = Math.ceil(width / across) * Math.ceil(height / down);
  const rowBytes = Math.ceil((across * bits * (planes > 1 ? 1 : samples)) / 8);
  const places = placesOf(file, first, each * planes, isTiled, compression, rowBytes * down);
  const segments = places.map(([from, bytes], i) => {
    const rows = isTiled ? down : Math.min(down, height - (i % each) * down);
    return { from, to: from + bytes, least: rowBytes * rows, most: rowBytes * down, rows };
  });
  for (const { from, to, least } of segments) {
    if (to > file.bytes.length) throw damaged('a part of its pixels lies outside of the file');
    if (to === from || (compression === COMPRESSION.none && to - from < least)) throw damaged('pixels are missing');
  }
  const reversedBits = first.number(TAG.fillOrder, 1) === 2;
  return { compression, reversedBits, across, segments, codedPixels: each * across * down };
}

/** @throws JobError `UNSUPPORTED_FORMAT` */
function kindOf(first: Directory) {
  const samples = first.number(TAG.samples, 1);
  const compression = first.number(TAG.compression, 1);
  if (!READ.includes(compression)) throw unsupportedTiff(NAMES[compression] ?? `compression ${compression}`);
  if (!first.has(TAG.photometric)) throw damaged('it does not say what its numbers mean');
  const photometric = first.number(TAG.photometric);
  const colour = COLOURS[photometric];
  if (!colour) throw unsupportedTiff(OTHER_COLOURS[photometric] ?? `colours of kind ${photometric}`);
  const extra = samples - colour.channels;
  if (extra < 0 || samples > 5)
    throw extra < 0 ? damaged('channels are missing') : unsupportedTiff(`${samples} channels`);
  if (extra > 1) throw unsupportedTiff('more than one channel beside the colours');
  const isPalette = photometric === PHOTOMETRIC.palette;
  const given = first.numbers(TAG.bits, samples);
  const bits = given[0] ?? 1;
  if (given.some((one) => one !== bits)) throw unsupportedTiff('channels of several depths');
  if (!colour.bits.includes(bits) || (extra > 0 && (bits < 8 || isPalette)))
    throw unsupportedTiff(`${bits} bits, ${samples} channels`);
  if (first.numbers(TAG.sampleFormat, samples).some((one) => one !== 1))
    throw unsupportedTiff('signed or fractional numbers');
  if (first.number(TAG.predictor, 1) > 2) throw unsupportedTiff('fractional numbers');
  if (first.number(TAG.inkSet, 1) !== 1) throw unsupportedTiff('inks other than CMYK');
  if (photometric === PHOTOMETRIC.ycbcr && compression !== COMPRESSION.jpeg)
    throw unsupportedTiff('YCbCr without JPEG');
  if (isPalette && first.countOf(TAG.colourMap) !== 3 << bits) throw damaged('its palette has another size');
  if (compression === COMPRESSION.fax && (bits !== 1 || samples !== 1))
    throw damaged('only a bilevel picture can be coded as a fax');
  return { compression, bits, samples };
}

/** Offset and bytes of each segment. Uncompressed files may leave the number of bytes out. */
function placesOf(
  file: TiffBytes,
  first: Directory,
  count: number,
  isTiled: boolean,
  compression: number,
  full: number,
): (readonly [number, number])[] {
  const [offsetTag, bytesTag] = isTiled ? [TAG.tileOffsets, TAG.tileBytes] : [TAG.stripOffsets, TAG.stripBytes];
  if (first.countOf(offsetTag) < count) throw damaged('strips or tiles are missing');
  const offsets = first.numbers(offsetTag, count);
  const sizes = first.numbers(bytesTag, count);
  if (sizes.length >= count) return offsets.map((from, i) => [from, sizes[i] ?? 0]);
  if (first.has(bytesTag) || compression !== COMPRESSION.none) throw damaged('the lengths of strips are missing');
  return offsets.map((from) => [from, Math.min(full, Math.max(0, file.bytes.length - from))]);
}
