import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { JobError } from '../domain/errors.js';
import type { InputFormat } from '../domain/job.js';
import { isSameSize, type Raster, type Size } from '../domain/raster.js';
import { divideByAlpha, partAlpha } from './alpha.js';
import { atOnce, type Codec, costOf, HEADER_MS } from './codec.js';
import { convert } from './colour/convert.js';
import { cicpOf, spaceOf } from './colour/meaning.js';
import { densityFrom, INCH_METRES } from './density.js';
import { densityOf } from './exif.js';
import { factsOfBare, type FileFacts } from './file-facts.js';
import { evenOut } from './grey.js';
import type { TurboJpeg } from './jpeg/turbo.js';
import { lossesOf } from './losses.js';
import type { KeptMetadata } from './metadata.js';
import { withPictureErrors } from './picture-errors.js';
import { isOneChannel, isUsable } from './profile.js';
import { unsupported } from './preflight/foreign.js';
import type { Placed } from './gif.js';
import { type Preflight, preflight } from './preflight/index.js';

// The bytes of a file select the decoder, and they may be hostile. So only the formats that the README promises stay
// enabled. The HEIF loader reads AVIF; in sharp's own build it has no other codec.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpegBuffer',
    'VipsForeignLoadPngBuffer',
    'VipsForeignLoadWebpBuffer',
    'VipsForeignLoadHeifBuffer',
    'VipsForeignLoadTiffBuffer',
    'VipsForeignLoadNsgifBuffer',
  ],
});
// No picture comes twice, so there is no cache. Many pictures are processed at once, so each gets one thread.
sharp.cache(false);
sharp.concurrency(1);

/**
 * Limit of decoded pixels for each visible one: its colours, its transparency, and a reserve for cropped parts. The cells
 * of a small grid can exceed the picture by up to four times, so there is a fixed reserve as well.
 */
const MOST_CODED = 3;
const SPARE_PIXELS = 2_000_000;

/** Measured decoding time on one processor, in nanoseconds per pixel. */
const DECODER_NS: Readonly<Record<InputFormat, number>> = { jpeg: 8, png: 12, webp: 25, avif: 45, tiff: 100, gif: 50 };

const FORMATS: Readonly<Record<string, InputFormat>> = {
  ...{ jpeg: 'jpeg', png: 'png', webp: 'webp', heif: 'avif', tiff: 'tiff', gif: 'gif' },
};

/** What the header of a file says about its picture. */
export interface Header extends Size {
  readonly format: InputFormat;
  readonly hasAlpha: boolean;
  /** Whether the EXIF orientation turns or mirrors the picture. */
  readonly turned: boolean;
  readonly progressive: boolean;
  /** More than 8 bits per channel. */
  readonly deep: boolean;
  /** Whether the worker converts its colours itself, which takes a second copy. */
  readonly converted?: boolean;
  /** Bytes of the largest strip or tile of a TIFF, which the decoder holds as a whole, and a copy of the file if it makes one. */
  readonly heldBytes?: number;
}

/** The header, and what `decode` needs to know of the file. */
export interface FileHeader extends Header {
  readonly file: FileFacts;
  readonly structure: Preflight;
}

/** How to call the decoders. */
interface Decoders {
  /** Schedules each computation. By default each one runs at once. */
  readonly codec?: Codec;
  /** Decodes ordinary JPEGs. Without it, sharp decodes all of them, to the same pixels. */
  readonly turbo?: TurboJpeg | undefined;
}

export interface HeaderOptions extends Decoders {
  readonly maxPixels: number;
}

export interface Decoded {
  readonly raster: Raster;
  /** What decoding lost, one sentence per loss. */
  readonly warnings: readonly string[];
  /** The blocks as they are in the file. */
  readonly metadata: KeptMetadata;
}

export interface DecodeOptions extends Decoders {
  /**
   * Time limit in whole seconds; the default is 120. libvips checks the time when it outputs rows. A decoder that
   * produces the whole picture at once is stopped only after that, so only the pixel limits bound its time.
   */
  readonly maxSeconds?: number;
}

/**
 * Reads the structure and the header of a file, and checks them against the limits. It decodes no pixels.
 * @returns the size of the upright picture, and how it is stored
 * @throws JobError `UNSUPPORTED_FORMAT`, `INPUT_CORRUPT`, `INPUT_TOO_MANY_PIXELS`, `INPUT_TOO_LARGE`
 */
export async function readHeader(bytes: Buffer, options: HeaderOptions): Promise<FileHeader> {
  const { maxPixels, codec = atOnce, turbo } = options;
  const structure = preflight(bytes);
  const { codedPixels = 0, checked, heldBytes = 0, unlimited = false } = structure;
  const source = checked?.mended() ?? bytes;
  const file =
    (turbo && structure.jpeg && factsOfBare(structure.jpeg, source, turbo)) ??
    (await codec(HEADER_MS, () => withPictureErrors(bytes, () => open(source, { unlimited }).metadata())));
  const format = FORMATS[file.format];
  if (!format || (format === 'avif' && file.compression !== 'av1')) {
    throw unsupported(bytes, file.format);
  }
  const { placed } = structure;
  const pixels = placed ? placed.width * placed.height : file.width * file.height;
  if (pixels > maxPixels) {
    throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${maxPixels} pixels, given ${pixels}`);
  }
  if (codedPixels > pixels * MOST_CODED + SPARE_PIXELS) {
    throw new JobError('INPUT_TOO_MANY_PIXELS', `a picture of ${pixels} pixels has ${codedPixels} to decode`);
  }
  const converted = spaceOf(file, structure) !== undefined;
  const { hasAlpha, orientation = 1, isProgressive: progressive, depth, autoOrient } = file;
  const { width, height } = placed ?? autoOrient;
  return {
    ...{ width, height, format },
    hasAlpha: hasAlpha || placed !== undefined,
    progressive,
    turned: orientation > 1,
    deep: depth !== 'uchar',
    converted,
    heldBytes,
    file,
    structure,
  };
}

/**
 * Decodes a picture into upright 8-bit sRGB. It applies the EXIF orientation, converts embedded profiles, expands CMYK
 * and grey, rounds 16 bits to 8, takes the first frame of an animation, and keeps alpha separate.
 * @param header of the same bytes
 * @throws JobError `INPUT_CORRUPT`, `EXECUTION_TIMEOUT`
 */
export async function decode(bytes: Buffer, header: FileHeader, options: DecodeOptions = {}): Promise<Decoded> {
  const { maxSeconds = 120, codec = atOnce, turbo } = options;
  const { file, structure } = header;
  const { checked } = structure;
  const costMs = costOf(header, DECODER_NS[header.format]);
  const pixels = await codec(costMs, () =>
    withPictureErrors(bytes, async () => {
      await checked?.check();
      const source = checked?.mended() ?? bytes;
      return (turbo && (await readByTurbo(source, header, turbo))) ?? readPixels(source, header, maxSeconds);
    }),
  );
  const raster = onCanvas(await rasterOf(pixels), structure.placed);
  if (file.icc && isOneChannel(file.space)) await evenOut(raster);
  if (structure.premultiplied) await divideByAlpha(raster);
  if (!isSameSize(raster, header)) {
    // The job is planned for the header's size.
    const sizes = `${header.width}x${header.height}, decoded ${raster.width}x${raster.height}`;
    throw new JobError('INPUT_CORRUPT', `its header says ${sizes}`);
  }
  return {
    raster,
    warnings: lossesOf(file, structure),
    metadata: {
      exif: file.exif ?? structure.checked?.exif,
      xmp: file.xmp,
      iptc: file.iptc,
      density: statedDensity(header),
      ...(header.turned ? {} : { size: { width: raster.width, height: raster.height } }),
    },
  };
}

interface DecodedPixels {
  readonly data: Buffer;
  readonly info: Size & { readonly channels: number };
}

/** sharp's names of colour and grey with 8 bits. */
const PLAIN_SPACES: ReadonlySet<string> = new Set(['srgb', 'b-w']);

/** @returns undefined unless the pixels are upright sRGB as the file has them, and the library has no objection */
async function readByTurbo(bytes: Buffer, header: FileHeader, turbo: TurboJpeg): Promise<DecodedPixels | undefined> {
  const { format, turned, converted, file } = header;
  const isPlain = format === 'jpeg' && !turned && converted !== true && PLAIN_SPACES.has(file.space);
  if (!isPlain || profileOf(header) !== undefined) return undefined;
  const data = await turbo.decode(bytes, header);
  return data && { data, info: { width: header.width, height: header.height, channels: 3 } };
}

/** The profile from which sharp is to convert. */
function profileOf({ file: { icc, space }, structure, converted }: FileHeader): Buffer | undefined {
  const isNamed = converted === true || cicpOf(structure.chunks) !== undefined;
  return !isNamed && icc !== undefined && isUsable(icc, space) ? icc : undefined;
}

/** @throws JobError `EXECUTION_TIMEOUT` */
async function readPixels(bytes: Buffer, header: FileHeader, maxSeconds: number): Promise<DecodedPixels> {
  const { file, structure } = header;
  const { space, hasAlpha } = file;
  // libjpeg warns of things that viewers show whole. Where every block was found, its warnings say nothing more.
  const failOn = structure.jpeg?.isWalked ? 'error' : 'warning';
  const numbers = spaceOf(file, structure);
  const profile = profileOf(header);
  const upright = toSrgb(
    open(bytes, { ignoreIcc: !profile, failOn, unlimited: structure.unlimited ?? false }).autoOrient(),
    space,
    profile,
  );
  const depth = numbers && header.deep ? 'ushort' : 'uchar';
  if (depth === 'ushort') upright.toColourspace('rgb16');
  const startedAt = performance.now();
  try {
    const { data, info } = await (hasAlpha ? upright.ensureAlpha() : upright.removeAlpha())
      .raw({ depth })
      .timeout({ seconds: maxSeconds })
      .toBuffer({ resolveWithObject: true });
    if (!numbers || info.channels < 3) return { data, info };
    const values = depth === 'ushort' ? new Uint16Array(data.buffer, data.byteOffset, data.length >> 1) : data;
    return { data: await convert(values, info.channels === 4 ? 4 : 3, numbers), info };
  } catch (cause) {
    // The error text of libvips for a timeout depends on the format.
    if (performance.now() - startedAt < maxSeconds * 1000) throw cause;
    throw new JobError('EXECUTION_TIMEOUT', `decoding took longer than ${maxSeconds} s`, { cause, stage: 'decode' });
  }
}

async function rasterOf({ data, info: { width, height, channels } }: DecodedPixels): Promise<Raster> {
  if (channels === 3) return { width, height, rgb: data };
  if (channels !== 4) throw new JobError('INPUT_CORRUPT', `expected 3 or 4 channels, decoded ${channels}`);

  return { width, height, ...(await partAlpha(data)) };
}

/**
 * Converts a picture to sRGB. sharp converts embedded profiles itself, but 16-bit colours to Display P3, and leaves them
 * there.
 */
function toSrgb(picture: Sharp, space: string, profile: Buffer | undefined): Sharp {
  const srgb = picture.toColourspace('srgb');
  if (profile && space === 'rgb16') return srgb.withIccProfile('srgb');
  return srgb;
}

function open(bytes: Buffer, options: SharpOptions = {}): Sharp {
  // `readHeader` checks the pixel limit and throws its own code. The limit of libvips stays as a second check.
  return sharp(bytes, { failOn: 'warning', pages: 1, limitInputChannels: 5, ...options });
}

/** Pixels per inch, if the file states them: sharp says 72 of a file that does not. */
function statedDensity({ file, structure: { checked, chunks } }: FileHeader): number | undefined {
  const pHYs = chunks?.get('pHYs');
  // Unit 1 is the metre. Any other states the shape of a pixel.
  if (pHYs)
    return pHYs[8] === 1
      ? densityFrom(pHYs.readUInt32BE() * INCH_METRES, pHYs.readUInt32BE(4) * INCH_METRES)
      : undefined;
  return checked?.density ?? densityOf(file.exif);
}

/** Puts a picture on a transparent canvas. */
function onCanvas(picture: Raster, placed: Placed | undefined): Raster {
  if (!placed) return picture;
  const { left, top, width, height } = placed;
  const [rgb, alpha] = [Buffer.alloc(width * height * 3), Buffer.alloc(width * height)];
  for (let y = 0; y < picture.height; y++) {
    const [from, to] = [y * picture.width, (top + y) * width + left];
    picture.rgb.copy(rgb, to * 3, from * 3, (from + picture.width) * 3);
    if (picture.alpha) picture.alpha.copy(alpha, to, from, from + picture.width);
    else alpha.fill(255, to, to + picture.width);
  }
  return { width, height, rgb, alpha };
}
