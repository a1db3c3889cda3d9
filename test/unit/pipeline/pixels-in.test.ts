/** What a decoder must make of every kind of picture, against numbers that no decoder has computed. */
import sharp, { type Metadata } from 'sharp';
import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { warning } from '../../../src/domain/warnings.js';
import { isGrey } from '../../../src/pipeline/grey.js';
import { decodeFile } from '../../support/decode.js';
import { fromAdobeRgb, fromDisplayP3, fromGamma, fromLab, fromLinear, type Rgb } from '../../support/colour.js';
import { adobeRgbProfile, cmykProfile, greyProfile, linearProfile } from '../../support/icc.js';
import { avif, coded, inColours, picture } from '../../support/hostile/avif.js';
import {
  cmykJpeg,
  exif,
  png,
  type PngOptions,
  segmentAt,
  withJpegProfile,
  withoutSegment,
  withSegment,
} from '../../support/pictures.js';

const SIZE = { width: 16, height: 16 };
const LIMIT = { maxPixels: 1_000_000 };
const BITS = 'more than 8 bits per channel were reduced to 8';
const HDR = warning('hdr');
const NO_PROFILE = 'the colour profile cannot be used and was left out';

/** Of these the profiles below make other colours, by 14 levels or more. */
const GREEN: Rgb = [60, 160, 80];
const DARK: Rgb = [30, 24, 20];
const GREY = 100;
const ALPHA = 128;

const wide = (values: readonly number[]) => values.flatMap((value) => [value, value]);
const plain = (colour: PngOptions['colour'], pixel: readonly number[], more: Partial<PngOptions> = {}) =>
  png({ ...SIZE, colour, depth: 8, pixel: () => pixel, ...more });
const deep = (colour: PngOptions['colour'], pixel: readonly number[], icc?: Buffer) =>
  plain(colour, wide(pixel), { depth: 16, ...(icc ? { icc } : {}) });
const solid = ([r, g, b]: Rgb) => sharp({ create: { ...SIZE, channels: 3, background: { r, g, b } } });
const FINE = { quality: 100, chromaSubsampling: '4:4:4' } as const;

/** A press whose cyan prints green, and so on: nobody's guess comes near. */
const LAB: Readonly<Record<string, Rgb>> = {
  paper: [100, 0, 0],
  cyan: [55, -40, 30],
  magenta: [60, 50, 30],
  yellow: [70, 0, -30],
  cyanAndYellow: [45, 20, 40],
};
const lab = (inks: keyof typeof LAB) => LAB[inks] ?? expect.fail();
const odd = () =>
  cmykProfile((inks) => {
    // Cyan and yellow print the same whether there is magenta or not.
    const [c, m, y, k] = [inks & 8, inks & 4, inks & 2, inks & 1];
    if (k) return [0, 0, 0];
    if (c && y) return lab('cyanAndYellow');
    if ((c && m) || (m && y)) return [0, 0, 0];
    return lab(c ? 'cyan' : m ? 'magenta' : y ? 'yellow' : 'paper');
  });
const [CYAN, MAGENTA, YELLOW] = [
  [255, 0, 0, 0],
  [0, 255, 0, 0],
  [0, 0, 255, 0],
] as const;
const withOwnInks = async (inks: typeof CYAN | typeof MAGENTA | typeof YELLOW) =>
  withJpegProfile(await cmykJpeg(SIZE, inks), odd());
/** Adobe's marker ends with how the channels are coded: 2 is YCCK. */
async function ycck(): Promise<Buffer> {
  const jpeg = await cmykJpeg(SIZE, [0, 0, 0, 0]);
  jpeg[segmentAt(jpeg, 0xee) + 15] = 2;
  return withJpegProfile(jpeg, odd());
}

interface Case {
  readonly make: () => Buffer | Promise<Buffer>;
  /** The file is what it claims to be. */
  readonly is: Partial<Metadata>;
  readonly rgb: Rgb;
  readonly alpha?: number;
  /** Levels of 255, at every pixel. */
  readonly within: number;
  readonly warnings?: readonly string[];
}

const grey = (value: number): Rgb => [value, value, value];
const adobe = adobeRgbProfile();

const CASES: Readonly<Record<string, Case>> = {
  'PNG, sRGB': { make: () => plain('rgb', GREEN), is: { format: 'png', hasProfile: false }, rgb: GREEN, within: 0 },
  'PNG, grey': { make: () => plain('grey', [GREY]), is: { space: 'b-w' }, rgb: grey(GREY), within: 0 },
  'PNG, grey of 1 bit': {
    make: () => plain('grey', [0xff], { depth: 1 }),
    is: { bitsPerSample: 1 },
    rgb: grey(255),
    within: 0,
  },
  'PNG, grey of 2 bits': {
    make: () => plain('grey', [0b01010101], { depth: 2 }),
    is: { bitsPerSample: 2 },
    rgb: grey(85),
    within: 0,
  },
  'PNG, grey and alpha': {
    make: () => plain('greyAlpha', [GREY, ALPHA]),
    is: { space: 'b-w', channels: 2, hasAlpha: true },
    rgb: grey(GREY),
    alpha: ALPHA,
    within: 0,
  },
  'PNG, RGB and alpha': {
    make: () => plain('rgba', [...GREEN, 3]),
    is: { channels: 4 },
    rgb: GREEN, // not darkened by its alpha
    alpha: 3,
    within: 0,
  },
  'PNG, palette': {
    make: () => plain('palette', [0x11], { depth: 4, chunks: { PLTE: Buffer.from([1, 2, 3, ...GREEN]) } }),
    is: { isPalette: true, bitsPerSample: 4, hasAlpha: false },
    rgb: GREEN,
    within: 0,
  },
  'PNG, palette with transparency': {
    make: () =>
      plain('palette', [1], { chunks: { PLTE: Buffer.from([1, 2, 3, ...GREEN]), tRNS: Buffer.from([0, 77]) } }),
    is: { isPalette: true, hasAlpha: true },
    rgb: GREEN,
    alpha: 77,
    within: 0,
  },
  'PNG, one colour is transparent': {
    make: () => plain('rgb', GREEN, { chunks: { tRNS: Buffer.from(GREEN.flatMap((value) => [0, value])) } }),
    is: { isPalette: false, hasAlpha: true },
    rgb: GREEN,
    alpha: 0,
    within: 0,
  },
  'PNG, 16-bit RGB': {
    make: () => plain('rgb', [0x80, 0xff, 0x40, 0, 0xff, 0xff], { depth: 16 }),
    is: { depth: 'ushort', space: 'rgb16' },
    rgb: [128.5, 64, 255],
    within: 0.5,
    warnings: [BITS],
  },
  'PNG, 16-bit grey': {
    make: () => deep('grey', [GREY]),
    is: { depth: 'ushort', space: 'grey16' },
    rgb: grey(GREY),
    within: 0,
    warnings: [BITS],
  },
  'PNG, 16-bit RGB and alpha': {
    make: () => deep('rgba', [...GREEN, ALPHA]),
    is: { depth: 'ushort', channels: 4 },
    rgb: GREEN,
    alpha: ALPHA,
    within: 0,
    warnings: [BITS],
  },
  'JPEG, sRGB': { make: () => solid(GREEN).jpeg(FINE).toBuffer(), is: { format: 'jpeg' }, rgb: GREEN, within: 2 },
  'JPEG, progressive': {
    make: () =>
      solid(GREEN)
        .jpeg({ ...FINE, progressive: true })
        .toBuffer(),
    is: { format: 'jpeg', isProgressive: true },
    rgb: GREEN,
    within: 2,
  },
  'JPEG, grey': {
    make: () => solid(grey(GREY)).toColourspace('b-w').jpeg(FINE).toBuffer(),
    is: { format: 'jpeg', space: 'b-w', channels: 1 },
    rgb: grey(GREY),
    within: 1,
  },
  'WebP with alpha': {
    make: () => solid(GREEN).ensureAlpha(0.5).webp({ lossless: true }).toBuffer(),
    is: { format: 'webp', hasAlpha: true },
    rgb: GREEN,
    alpha: 127.5,
    within: 0.5,
  },
  'AVIF with alpha': {
    make: () => solid(GREEN).ensureAlpha(0.5).avif(FINE).toBuffer(),
    is: { format: 'heif', compression: 'av1', hasAlpha: true },
    rgb: GREEN,
    alpha: 127.5,
    within: 2,
  },
  'AVIF of 10 bits': {
    make: () =>
      solid(GREEN)
        .avif({ ...FINE, bitdepth: 10 })
        .toBuffer(),
    is: { compression: 'av1', bitsPerSample: 10 },
    rgb: GREEN,
    within: 2,
    warnings: [BITS],
  },

  'Adobe RGB (1998), PNG': {
    make: () => plain('rgb', GREEN, { icc: adobe }),
    is: { hasProfile: true },
    rgb: fromAdobeRgb(GREEN),
    within: 1,
  },
  'Adobe RGB (1998), JPEG': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), adobe),
    is: { format: 'jpeg', hasProfile: true },
    rgb: fromAdobeRgb(GREEN),
    within: 4,
  },
  'Adobe RGB (1998), 16-bit': {
    make: () => deep('rgb', GREEN, adobe),
    is: { depth: 'ushort', hasProfile: true },
    rgb: fromAdobeRgb(GREEN),
    within: 2,
    warnings: [BITS],
  },
  'Adobe RGB (1998), 16-bit, with alpha': {
    make: () => deep('rgba', [...GREEN, ALPHA], adobe),
    is: { depth: 'ushort', hasProfile: true, hasAlpha: true },
    rgb: fromAdobeRgb(GREEN),
    alpha: ALPHA,
    within: 2,
    warnings: [BITS],
  },
  'Display P3, JPEG': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), await namedProfile('p3')),
    is: { format: 'jpeg', hasProfile: true },
    rgb: fromDisplayP3(GREEN),
    within: 4,
  },
  'Display P3, PNG': {
    make: async () => plain('rgb', GREEN, { icc: await namedProfile('p3') }),
    is: { hasProfile: true },
    rgb: fromDisplayP3(GREEN),
    within: 2,
  },
  'Display P3, 16-bit': {
    make: async () => deep('rgb', GREEN, await namedProfile('p3')),
    is: { depth: 'ushort', hasProfile: true },
    rgb: fromDisplayP3(GREEN),
    within: 2,
    warnings: [BITS],
  },
  'Display P3, WebP': {
    make: () => solid(GREEN).withIccProfile('p3').webp({ lossless: true }).toBuffer(),
    is: { format: 'webp', hasProfile: true },
    rgb: GREEN, // converted on the way in, so the numbers in the file are others
    within: 2,
  },
  'Display P3, AVIF': {
    make: () => solid(GREEN).withIccProfile('p3').avif(FINE).toBuffer(),
    is: { format: 'heif', hasProfile: true },
    rgb: GREEN,
    within: 3,
  },
  'Display P3, AVIF of 10 bits': {
    make: () =>
      solid(GREEN)
        .withIccProfile('p3')
        .avif({ ...FINE, bitdepth: 10 })
        .toBuffer(),
    is: { bitsPerSample: 10, hasProfile: true },
    rgb: GREEN,
    within: 3,
    warnings: [BITS],
  },
  'linear RGB': {
    make: () => plain('rgb', GREEN, { icc: linearProfile() }),
    is: { hasProfile: true },
    rgb: fromLinear(GREEN),
    within: 1,
  },
  'linear RGB, 16-bit, dark': {
    make: () =>
      plain(
        'rgb',
        DARK.flatMap((value) => [0, value]),
        { depth: 16, icc: linearProfile() },
      ),
    is: { depth: 'ushort', hasProfile: true },
    rgb: fromLinear([DARK[0] / 257, DARK[1] / 257, DARK[2] / 257]),
    within: 1,
    warnings: [BITS],
  },
  'linear grey': {
    make: () => plain('grey', [GREY], { icc: greyProfile(1) }),
    is: { space: 'b-w', hasProfile: true },
    rgb: grey(fromGamma(GREY, 1)),
    within: 1,
  },
  'linear grey and alpha': {
    make: () => plain('greyAlpha', [GREY, ALPHA], { icc: greyProfile(1) }),
    is: { space: 'b-w', hasProfile: true, hasAlpha: true },
    rgb: grey(fromGamma(GREY, 1)),
    alpha: ALPHA,
    within: 1,
  },
  'grey of gamma 1.8, JPEG': {
    make: async () =>
      withJpegProfile(await solid(grey(GREY)).toColourspace('b-w').jpeg(FINE).toBuffer(), greyProfile(1.8)),
    is: { space: 'b-w', hasProfile: true },
    rgb: grey(fromGamma(GREY, 1.8)),
    within: 2,
  },
  'linear grey, 16-bit': {
    make: () => deep('grey', [GREY], greyProfile(1)),
    is: { space: 'grey16', hasProfile: true },
    rgb: grey(fromGamma(GREY, 1)),
    within: 1,
    warnings: [BITS],
  },
  'linear grey and alpha, 16-bit': {
    make: () => deep('greyAlpha', [GREY, ALPHA], greyProfile(1)),
    is: { space: 'grey16', hasProfile: true, hasAlpha: true },
    rgb: grey(fromGamma(GREY, 1)),
    alpha: ALPHA,
    within: 1,
    warnings: [BITS],
  },

  // Without a profile: what the same inks look like on coated paper (FOGRA39). The plain formula is 90 levels off.
  'CMYK, cyan': { make: () => cmykJpeg(SIZE, CYAN), is: { space: 'cmyk' }, rgb: [0, 159, 227], within: 20 },
  'CMYK, magenta': { make: () => cmykJpeg(SIZE, MAGENTA), is: { space: 'cmyk' }, rgb: [230, 0, 126], within: 20 },
  'CMYK, yellow': { make: () => cmykJpeg(SIZE, YELLOW), is: { space: 'cmyk' }, rgb: [255, 237, 0], within: 20 },
  'CMYK, paper': { make: () => cmykJpeg(SIZE, [0, 0, 0, 0]), is: { space: 'cmyk' }, rgb: grey(255), within: 1 },
  'CMYK, inverted as by Adobe but unmarked': {
    make: async () => withoutSegment(await cmykJpeg(SIZE, CYAN), 0xee),
    is: { space: 'cmyk' },
    rgb: [0, 159, 227],
    within: 20,
  },
  'CMYK with a profile, cyan': {
    make: () => withOwnInks(CYAN),
    is: { space: 'cmyk', hasProfile: true },
    rgb: fromLab(lab('cyan')),
    within: 6,
  },
  'CMYK with a profile, magenta': {
    make: () => withOwnInks(MAGENTA),
    is: { space: 'cmyk', hasProfile: true },
    rgb: fromLab(lab('magenta')),
    within: 6,
  },
  'CMYK with a profile, yellow': {
    make: () => withOwnInks(YELLOW),
    is: { space: 'cmyk', hasProfile: true },
    rgb: fromLab(lab('yellow')),
    within: 6,
  },
  'YCCK with a profile': {
    // Stored are 255, 255, 255, 255: as YCC that is 255, 121, 255, and so full cyan and yellow, some magenta, no black.
    make: ycck,
    is: { space: 'cmyk', hasProfile: true },
    rgb: fromLab(lab('cyanAndYellow')),
    within: 6,
  },

  'a profile cut short': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), adobe.subarray(0, 200)),
    is: { format: 'jpeg', hasProfile: true },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
  'a profile that is none': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), Buffer.alloc(500, 7)),
    is: { format: 'jpeg', hasProfile: true },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
  'a profile without its tone curves': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), renamed(adobe, 'TRC', 'xyz')),
    is: { format: 'jpeg', hasProfile: true },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
  'a profile with broken contents': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), Buffer.from(adobe).fill(7, 300)),
    is: { format: 'jpeg', hasProfile: true },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
  'a profile of other channels': {
    make: async () => withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), odd()),
    is: { format: 'jpeg', hasProfile: true },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
  'a profile that is no use, PNG': {
    make: () => plain('rgb', GREEN, { icc: adobe.subarray(0, 200) }),
    is: { format: 'png', hasProfile: false },
    rgb: GREEN,
    within: 0,
    warnings: [NO_PROFILE],
  },
  'CMYK whose profile is no use': {
    make: async () => withJpegProfile(await cmykJpeg(SIZE, CYAN), adobe),
    is: { space: 'cmyk', hasProfile: true },
    rgb: [0, 159, 227],
    within: 20,
    warnings: [NO_PROFILE],
  },
  'PNG, linear by gAMA': {
    make: () => numbered({ gAMA: gamma(1) }),
    is: { format: 'png' },
    rgb: fromLinear(GREEN),
    within: 1,
  },
  'PNG of gamma 1.8': {
    make: () => numbered({ gAMA: gamma(1 / 1.8) }),
    is: { format: 'png' },
    rgb: [fromGamma(60, 1.8), fromGamma(160, 1.8), fromGamma(80, 1.8)],
    within: 1,
  },
  'PNG of gamma 2.2': { make: () => numbered({ gAMA: gamma(1 / 2.2) }), is: { format: 'png' }, rgb: GREEN, within: 0 },
  'PNG, gAMA beside sRGB': {
    make: () => numbered({ sRGB: Buffer.from([0]), gAMA: gamma(1) }),
    is: { format: 'png' },
    rgb: GREEN,
    within: 0,
  },
  'PNG, Adobe RGB by gAMA and cHRM': {
    make: () =>
      numbered({ gAMA: gamma(256 / 563), cHRM: chromaticities(31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000) }),
    is: { format: 'png' },
    rgb: fromAdobeRgb(GREEN),
    within: 1,
  },
  'PNG, cHRM that is impossible': {
    make: () => numbered({ gAMA: gamma(1 / 2.2), cHRM: chromaticities(0, 0, 0, 0, 0, 0, 0, 0) }),
    is: { format: 'png' },
    rgb: GREEN,
    within: 0,
  },
  'PNG, grey and linear by gAMA': {
    make: () => plain('greyAlpha', [GREY, ALPHA], { chunks: { gAMA: gamma(1) } }),
    is: { space: 'b-w', hasAlpha: true },
    rgb: grey(fromGamma(GREY, 1)),
    alpha: ALPHA,
    within: 1,
  },
  'PNG, Display P3 by cICP': {
    make: () => numbered({ cICP: Buffer.from([12, 13, 0, 1]) }),
    is: { format: 'png' },
    rgb: fromDisplayP3(GREEN),
    within: 1,
  },
  'PNG, sRGB by cICP beside a profile': {
    make: () => numbered({ cICP: Buffer.from([1, 13, 0, 1]) }, adobe),
    is: { format: 'png' },
    rgb: GREEN, // cICP ranks above iCCP (PNG, third edition, 4.3)
    within: 1,
  },
  'PNG, a cICP that says nothing beside a profile': {
    make: () => numbered({ cICP: Buffer.from([2, 2, 0, 1]) }, adobe),
    is: { hasProfile: true },
    rgb: fromAdobeRgb(GREEN),
    within: 1,
  },
  'PNG, a cICP with a matrix, which RGB has none of': {
    make: () => numbered({ cICP: Buffer.from([9, 16, 9, 1]) }, adobe),
    is: { hasProfile: true },
    rgb: fromAdobeRgb(GREEN),
    within: 1,
  },
  'PNG, 16-bit Display P3 by cICP': {
    make: () => plain('rgb', wide(GREEN), { depth: 16, chunks: { cICP: Buffer.from([12, 13, 0, 1]) } }),
    is: { depth: 'ushort' },
    rgb: fromDisplayP3(GREEN),
    within: 1,
    warnings: [BITS],
  },
  // 203 nits, the white of paper: 0.58 in PQ, 0.75 in HLG.
  'PNG, white in PQ': {
    make: () => plain('rgb', [148, 148, 148], { chunks: { cICP: Buffer.from([9, 16, 0, 1]) } }),
    is: { format: 'png' },
    rgb: grey(244),
    within: 2,
    warnings: [HDR],
  },
  'PNG, white in HLG, 16-bit with alpha': {
    make: () =>
      plain('rgba', wide([191, 191, 191, ALPHA]), { depth: 16, chunks: { cICP: Buffer.from([9, 18, 0, 1]) } }),
    is: { depth: 'ushort' },
    rgb: grey(244),
    alpha: ALPHA,
    within: 2,
    warnings: [BITS, HDR],
  },
  'AVIF, Display P3 by nclx': {
    make: () => nclx(12, 13),
    is: { compression: 'av1', hasProfile: false },
    rgb: fromDisplayP3(GREEN),
    within: 3,
  },
  'AVIF, linear by nclx': { make: () => nclx(1, 8), is: { compression: 'av1' }, rgb: fromLinear(GREEN), within: 4 },
  'AVIF, curve of television': { make: () => nclx(1, 1), is: { compression: 'av1' }, rgb: GREEN, within: 2 },
  'AVIF of 10 bits, white in PQ': {
    make: () => nclx(9, 16, [148, 148, 148], 10),
    is: { compression: 'av1', bitsPerSample: 10 },
    rgb: grey(244),
    within: 3,
    warnings: [BITS, HDR],
  },
  'JPEG, Adobe RGB by EXIF alone (DCF)': {
    make: () => withExif(dcf(0xffff, 'R03')),
    is: { hasProfile: false },
    rgb: fromAdobeRgb(GREEN),
    within: 4,
  },
  'JPEG, sRGB by EXIF alone (DCF)': {
    make: () => withExif(dcf(1, 'R98')),
    is: { hasProfile: false },
    rgb: GREEN,
    within: 2,
  },
  'JPEG, Adobe RGB by a colour space of 2': {
    make: () => withExif(dcf(2, 'R98')),
    is: { hasProfile: false },
    rgb: fromAdobeRgb(GREEN),
    within: 4,
  },
  'JPEG, EXIF of Adobe RGB beside a profile': {
    make: async () => withJpegProfile(await withExif(dcf(0xffff, 'R03')), await namedProfile('p3')),
    is: { hasProfile: true },
    rgb: fromDisplayP3(GREEN),
    within: 4,
  },
  'a profile in a segment numbered 1 of 2': {
    make: () => misnumbered([[1, 2]]),
    is: { format: 'jpeg' },
    rgb: fromAdobeRgb(GREEN),
    within: 4,
  },
  'a profile in two segments numbered 0 and 1': { make: () => misnumbered([[0, 2], [1, 2]]), is: { format: 'jpeg' }, rgb: fromAdobeRgb(GREEN), within: 4 }, // prettier-ignore
  'the same profile twice': {
    make: async () => withJpegProfile(await misnumbered([[1, 1]]), adobe),
    is: { format: 'jpeg' },
    rgb: fromAdobeRgb(GREEN),
    within: 4,
  },
  'a profile of which a segment is lost': {
    make: async () =>
      withoutSegment(
        await misnumbered([
          [1, 3],
          [2, 3],
          [3, 3],
        ]),
        0xe2,
      ),
    is: { format: 'jpeg' },
    rgb: GREEN,
    within: 2,
    warnings: [NO_PROFILE],
  },
};

const given = (name: string) => readFileSync(new URL(`../../fixtures/cases/${name}`, import.meta.url));
const numbered = (chunks: Readonly<Record<string, Buffer>>, icc?: Buffer) =>
  plain('rgb', GREEN, { chunks, ...(icc ? { icc } : {}) });
function uint32(...values: readonly number[]) {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4));
  return bytes;
}
const gamma = (value: number) => uint32(Math.round(value * 100_000));
const chromaticities = uint32;

/** An AVIF of which an `nclx` states the colour space. */
async function nclx(
  primaries: number,
  transfer: number,
  [r, g, b]: Rgb = GREEN,
  bitdepth: 8 | 10 = 8,
): Promise<Buffer> {
  const item = await coded(SIZE, false, `rgb(${r}, ${g}, ${b})`, { ...FINE, bitdepth });
  return avif([inColours(picture(item, SIZE), primaries, transfer)]);
}

/** EXIF of a camera that follows DCF: a colour space, and the index that tells its kind of sRGB or Adobe RGB. */
function dcf(colourSpace: number, index: string): Buffer {
  const entry = (tag: number, type: number, count: number, value: string) =>
    String.fromCharCode(0, tag & 255).replace(/^./, String.fromCharCode(tag >> 8)) +
    String.fromCharCode(0, type, 0, 0, 0, count) +
    value;
  const offset = (value: number) => String.fromCharCode(0, 0, 0, value);
  const tiff =
    `MM\0*${offset(8)}\0\x01${entry(0x8769, 4, 1, offset(26))}${offset(0)}` +
    `\0\x02${entry(0xa001, 3, 1, `${String.fromCharCode(colourSpace >> 8, colourSpace & 255)}\0\0`)}` +
    `${entry(0xa005, 4, 1, offset(56))}${offset(0)}\0\x01${entry(1, 2, 4, `${index}\0`)}${offset(0)}`;
  return Buffer.from(`Exif\0\0${tiff}`, 'latin1');
}
const withExif = async (block: Buffer) => withSegment(await solid(GREEN).jpeg(FINE).toBuffer(), 0xe1, block);

/** Adobe RGB in segments with the given numbers. */
async function misnumbered(numbers: readonly (readonly [number, number])[]): Promise<Buffer> {
  const part = Math.ceil(adobe.length / numbers.length);
  let jpeg: Buffer = await solid(GREEN).jpeg(FINE).toBuffer();
  for (const [i, [number, count]] of [...numbers.entries()].reverse()) {
    const head = Buffer.concat([Buffer.from('ICC_PROFILE\0', 'latin1'), Buffer.from([number, count])]);
    jpeg = withSegment(jpeg, 0xe2, Buffer.concat([head, adobe.subarray(i * part, (i + 1) * part)]));
  }
  return jpeg;
}

/** A profile that libvips brings along. */
async function namedProfile(name: string): Promise<Buffer> {
  const { icc } = await sharp(await solid(GREEN).withIccProfile(name).png().toBuffer()).metadata();
  return icc ?? expect.fail();
}

function renamed(profile: Buffer, from: string, to: string): Buffer {
  return Buffer.from(profile.toString('latin1').replaceAll(from, to), 'latin1');
}

describe('a decoded picture', () => {
  it.each(Object.entries(CASES))('%s', async (_name, { make, is, rgb, alpha, within, warnings = [] }) => {
    const bytes = await make();
    expect(await sharp(bytes).metadata()).toMatchObject(is);
    const { raster, ...decoded } = await decodeFile(bytes, LIMIT);
    expect(decoded.warnings).toEqual(warnings);
    expect(raster).toMatchObject(SIZE);
    expect(raster.rgb).toHaveLength(16 * 16 * 3);
    for (let i = 0; i < 16 * 16; i++) near([...raster.rgb.subarray(i * 3, i * 3 + 3)], rgb, within);
    expect(raster.alpha === undefined).toBe(alpha === undefined);
    for (const value of raster.alpha ?? []) near([value], [alpha ?? 255], Math.max(within, 1));
  });

  it.each(['Adobe RGB (1998), PNG', 'Display P3, PNG', 'linear RGB', 'CMYK with a profile, cyan'])(
    'would be another one without its profile: %s',
    async (name) => {
      const { make, rgb } = CASES[name] ?? expect.fail();
      const blind = await sharp(await make(), { ignoreIcc: true })
        .toColourspace('srgb')
        .raw()
        .toBuffer();
      expect(Math.max(...rgb.map((value, i) => Math.abs(value - (blind[i] ?? 0))))).toBeGreaterThan(13);
    },
  );
});

describe('an animation', () => {
  const frames = async () => [await solid(GREEN).png().toBuffer(), await solid(DARK).png().toBuffer()];
  const FIRST = 'only the first of 2 frames was used';

  it('gives its first frame: WebP', async () => {
    const bytes = await sharp(await frames(), { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer();
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', pages: 2 });
    const { raster, warnings } = await decodeFile(bytes, LIMIT);
    expect(warnings).toEqual([FIRST]);
    expect(raster).toMatchObject(SIZE);
    near([...raster.rgb.subarray(0, 3)], GREEN, 0);
  });

  it('gives its first frame: PNG', async () => {
    const acTL = Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]);
    const fcTL = Buffer.alloc(26);
    const { raster, warnings } = await decodeFile(plain('rgb', GREEN, { chunks: { acTL, fcTL } }), LIMIT);
    expect(warnings).toEqual([FIRST]);
    near([...raster.rgb.subarray(0, 3)], GREEN, 0);
  });
});

describe('a case that people have met', () => {
  it('is converted with a profile in a segment numbered 0 of 1: 16a-p3-seq0.jpg', async () => {
    const { raster, warnings } = await decodeFile(given('16a-p3-seq0.jpg'), LIMIT);
    near([...raster.rgb.subarray(0, 3)], [0, 203, 11], 4);
    expect(warnings).toEqual([]);
    expect(raster).toEqual((await decodeFile(given('16-p3-ok.jpg'), LIMIT)).raster);
  });

  it('is tone-mapped, and says so: 30-cicp-pq.png', async () => {
    expect((await decodeFile(given('30-cicp-pq.png'), LIMIT)).warnings).toEqual([HDR]);
  });

  it('says which picture was used: 14-apng-hidden-default.png', async () => {
    const { warnings } = await decodeFile(given('14-apng-hidden-default.png'), LIMIT);
    expect(warnings).toEqual([warning('hidden-default', { count: 2 })]);
  });

  it.each([1, 2, 7])('says that the default image is none of %i frames', async (count) => {
    const { warnings } = await decodeFile(numbered({ acTL: uint32(count, 0) }), LIMIT);
    expect(warnings).toEqual([`the default image was used, which is none of the ${count} frames`]);
  });
});

describe('a JPEG of arithmetic coding', () => {
  it.each(['arithmetic-420', 'arithmetic-grey-restarts', 'arithmetic-progressive'])(
    'gives the pixels of the same picture in Huffman codes: %s',
    async (name) => {
      const { raster, warnings } = await decodeFile(given(`${name}.jpg`), LIMIT);
      expect(warnings).toEqual([]);
      expect(raster).toEqual((await decodeFile(given(`${name}-huffman.jpg`), LIMIT)).raster);
    },
  );
});

describe('a JPEG with two Adobe markers', () => {
  const adobe14 = (transform: number) => Buffer.from([...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, transform]);
  const COLOURED: readonly [string, () => Promise<Buffer>][] = [
    ['4:4:4', () => solid(GREEN).jpeg(FINE).toBuffer()],
    ['4:2:0', () => solid([90, 20, 200]).jpeg({ quality: 90 }).toBuffer()],
    ['progressive', () => solid([240, 200, 9]).jpeg({ quality: 95, progressive: true }).toBuffer()],
    ['of four inks', () => cmykJpeg(SIZE, [200, 30, 90, 5])],
  ];

  // libjpeg uses the last one, and so does every browser.
  it.each(COLOURED)('is read by the last one: %s', async (_name, make) => {
    const plain = await make();
    const bare = segmentAt(plain, 0xee) < 0 ? plain : withoutSegment(plain, 0xee);
    for (const [first, last] of [
      [0, 1],
      [1, 0],
      [2, 0],
      [0, 2],
    ] as const) {
      const one = withSegment(bare, 0xee, adobe14(last));
      const two = withSegment(one, 0xee, adobe14(first));
      expect(await decodeFile(two, LIMIT)).toEqual(await decodeFile(one, LIMIT));
    }
  });
});

describe('16-bit grey with a profile', () => {
  it.each([1, 1.8, 2.2])('has no steps in its shadows: gamma %f', async (exponent) => {
    const width = 1024;
    const ramp = png({
      width,
      height: 1,
      colour: 'grey',
      depth: 16,
      pixel: (x) => [x >> 4, (x & 15) << 4],
      icc: greyProfile(exponent),
    });
    const { raster } = await decodeFile(ramp, LIMIT);
    for (let x = 0; x < width; x++) {
      near([raster.rgb[x * 3] ?? 0], [fromGamma((x * 16) / 257, Math.round(exponent * 256) / 256)], 0.56);
    }
  });
});

describe('grey with a profile', () => {
  const table = Array.from({ length: 256 }, (_, i) => Math.round((i / 255) ** 1.8 * 65_535));
  const ramp = (depth: 8 | 16, icc: Buffer) =>
    png({ width: 256, height: 1, colour: 'grey', depth, pixel: (x) => (depth === 8 ? [x] : [x, x]), icc });

  it.each([8, 16] as const)('of a table, as scanners have it, stays grey: %i bits', async (depth) => {
    const { raster } = await decodeFile(ramp(depth, greyProfile(table)), LIMIT);
    expect(await isGrey(raster)).toBe(true);
    for (let x = 0; x < 256; x++) near([raster.rgb[x * 3] ?? 0], [fromGamma(x, 1.8)], 1.5);
  });

  it.each([8, 16] as const)('whose curve gives lightness has that lightness: %i bits', async (depth) => {
    const { raster } = await decodeFile(ramp(depth, greyProfile(1, 'Lab ')), LIMIT);
    for (let x = 0; x < 256; x++) near([raster.rgb[x * 3] ?? 0], [fromLab([(x / 255) * 100, 0, 0])[1]], 1);
  });
});

describe('a broken profile', () => {
  const tag = (name: string, type: string, ...bytes: number[]) => [name, type, bytes] as const;
  /** A profile of three channels whose tag is replaced. */
  const broken = ([name, type, bytes]: ReturnType<typeof tag>) => {
    const icc = Buffer.from(adobe);
    // A table takes the place of the description, which nobody needs.
    const entry = icc.indexOf(name === 'A2B0' ? 'desc' : name, 132, 'latin1');
    icc.write(name, entry, 'latin1');
    const body = Buffer.alloc(Math.max(32, 8 + bytes.length));
    body.write(type, 'latin1');
    body.set(bytes, 8);
    const replaced = Buffer.concat([icc, body]);
    replaced.writeUInt32BE(replaced.length);
    replaced.writeUInt32BE(icc.length, entry + 4);
    replaced.writeUInt32BE(body.length, entry + 8);
    return replaced;
  };
  const changed = (at: number, bytes: readonly number[]) => {
    const icc = Buffer.from(adobe);
    icc.set(bytes, at);
    return icc;
  };

  it.each<[string, () => Buffer]>([
    ['a curve that is cut short', () => broken(tag('rTRC', 'curv', 0, 0, 0x13, 0x88))],
    ['a curve of a kind that does not exist', () => broken(tag('gTRC', 'para', 0, 9, 0, 0))],
    ['a table that is cut short', () => broken(tag('A2B0', 'mft2', 3, 3, 33, 0))],
    ['a table of four channels', () => broken(tag('A2B0', 'mAB ', 4, 3, 0, 0, 0, 0, 0, 20))],
    ['a table of no parts', () => broken(tag('A2B0', 'mAB ', 3, 3, 0, 0))],
    ['a connection space that does not exist', () => changed(20, [...Buffer.from('RGB ')])],
    ['a version that does not exist', () => changed(8, [9, 0, 0, 0])],
    ['a length of 0', () => changed(0, [0, 0, 0, 0])],
  ])('is left out, and named: %s', async (_, make) => {
    const jpeg = withJpegProfile(await solid(GREEN).jpeg(FINE).toBuffer(), make());
    const { raster, warnings } = await decodeFile(jpeg, LIMIT);
    expect(warnings).toEqual(['the colour profile cannot be used and was left out']);
    near([...raster.rgb.subarray(0, 3)], GREEN, 2);
  });
});

describe('a premultiplied AVIF', () => {
  it('has the colours of the one that is not', async () => {
    const [found, wanted] = [
      await decodeFile(given('11-premultiplied.avif'), LIMIT),
      await decodeFile(given('11-straight.avif'), LIMIT),
    ];
    const alpha = wanted.raster.alpha ?? Buffer.alloc(0);
    expect(found.raster.alpha).toEqual(alpha);
    for (let i = 0; i < alpha.length * 3; i++) {
      const visible = alpha[Math.floor(i / 3)] ?? 0;
      // Division by a small alpha enlarges what the encoder lost.
      if (visible > 60)
        expect(Math.abs((found.raster.rgb[i] ?? 0) - (wanted.raster.rgb[i] ?? 0))).toBeLessThanOrEqual(12);
    }
  });
});

describe('orientation', () => {
  /** Four quarters: red and green above, blue and white below; twice as wide as high. */
  const [R, G, B, W] = [
    [220, 20, 20],
    [20, 200, 20],
    [20, 20, 220],
    [240, 240, 240],
  ] as const;
  const stored = () =>
    sharp(
      png({
        width: 32,
        height: 16,
        colour: 'rgb',
        depth: 8,
        pixel: (x, y) => (y < 8 ? (x < 16 ? R : G) : x < 16 ? B : W),
      }),
    );

  // What is seen at the upper left, upper right, lower left and lower right (TIFF 6.0, tag 274).
  const SEEN = { 1: [R, G, B, W], 2: [G, R, W, B], 3: [W, B, G, R], 4: [B, W, R, G], 5: [R, B, G, W], 6: [B, R, W, G], 7: [W, G, B, R], 8: [G, W, R, B] }; // prettier-ignore
  const table = Object.entries(SEEN).flatMap(([orientation, corners]) =>
    (['jpeg', 'png', 'webp', 'avif'] as const).map((format) => [format, Number(orientation), corners] as const),
  );

  it.each(table)('%s, %i', async (format, orientation, corners) => {
    const bytes = await stored().withMetadata({ orientation }).toFormat(format, FINE).toBuffer();
    // AVIF says it with properties of its own, which its library applies.
    if (format === 'avif') expect(bytes.includes('irot') || bytes.includes('imir')).toBe(orientation > 1);
    else expect((await sharp(bytes).metadata()).orientation).toBe(orientation);
    const { raster, warnings } = await decodeFile(bytes, LIMIT);
    const [width, height] = orientation > 4 ? [16, 32] : [32, 16];
    expect(raster).toMatchObject({ width, height });
    expect(warnings).toEqual([]);
    const at = (x: number, y: number) => [...raster.rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
    const places = [[2, 2], [width - 3, 2], [2, height - 3], [width - 3, height - 3]] as const; // prettier-ignore
    places.forEach(([x, y], i) => near(at(x, y), corners[i] ?? [], 8));
  });

  it('turns alpha with the colours', async () => {
    const lying = png({ width: 4, height: 2, colour: 'rgba', depth: 8, pixel: (x) => [...GREEN, x < 2 ? 200 : 10] });
    const { raster } = await decodeFile(await sharp(lying).withMetadata({ orientation: 6 }).png().toBuffer(), LIMIT);
    expect(raster).toMatchObject({ width: 2, height: 4 });
    expect([...(raster.alpha ?? [])]).toEqual([200, 200, 200, 200, 10, 10, 10, 10]);
  });

  it('holds for a picture whose EXIF was written by hand', async () => {
    const bytes = withSegment(await stored().jpeg(FINE).toBuffer(), 0xe1, exif(8));
    const { raster } = await decodeFile(bytes, LIMIT);
    expect(raster).toMatchObject({ width: 16, height: 32 });
    near([...raster.rgb.subarray(0, 3)], G, 8);
  });
});

function near(given: readonly number[], wanted: readonly number[], within: number): void {
  const off = given.map((value, i) => Math.abs(value - (wanted[i] ?? NaN)));
  expect(
    off.every((distance) => distance <= within),
    `expected ${wanted.map(Math.round).join(', ')} within ${within}, given ${given.join(', ')}`,
  ).toBe(true);
}
