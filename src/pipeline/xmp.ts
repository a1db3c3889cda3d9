/** Removes from XMP what is not true of the result. XMP is text, and is changed as text. */
import { isSameSize, type Size } from '../domain/raster.js';

/**
 * Properties about the file that was read: its size, its colours, its thumbnails, and other pictures and films in it (motion
 * photos, gain maps).
 */
const UNTRUE = [
  /^(?:xmp|xap):Thumbnails$/,
  /^tiff:(?:ImageWidth|ImageLength|BitsPerSample|PhotometricInterpretation|SamplesPerPixel|Compression|PlanarConfiguration)$/,
  /^tiff:(?:TransferFunction|WhitePoint|PrimaryChromaticities|YCbCr\w+|ReferenceBlackWhite)$/,
  /^exif:(?:PixelXDimension|PixelYDimension|ColorSpace|CompressedBitsPerPixel)$/,
  /^exifEX:Gamma$/,
  /^dc:format$/,
  /^xmpNote:HasExtendedXMP$/, // the rest of the XMP is in other segments, which are not kept
  /^photoshop:(?:ICCProfile|ColorMode)$/,
  /^(?:GCamera|Camera|OpCamera):(?:MotionPhoto|MicroVideo|HDRP|hdrp)/,
  /^(?:hdrgm|HDRGainMap|HDRGainMapMetadata|apdi|GContainer|Container|GDepth|GImage|GAudio|Device):/,
];

/** Properties that count pixels. */
const OF_SIZE = /^exif:(?:SubjectArea|SubjectLocation|FocalPlane\w+)$/;
/** Properties that say where something is, as a share of the width and height: faces. */
const OF_PLACE = /^(?:mwg-rs:Regions|MP:RegionInfo)$/;

/** Properties of a panorama that count pixels (Google's Photo Sphere XMP). */
const ACROSS =
  'CroppedAreaImageWidthPixels|FullPanoWidthPixels|CroppedAreaLeftPixels|LargestValidInteriorRect(?:Width|Left)';
const DOWN =
  'CroppedAreaImageHeightPixels|FullPanoHeightPixels|CroppedAreaTopPixels|LargestValidInteriorRect(?:Height|Top)';

/** Sizes of the picture as it was read, and as it is written. */
export interface Scaling {
  readonly from: Size;
  readonly to: Size;
}

/**
 * The XMP of the upright sRGB picture: orientation 1, and nothing of the file that was read.
 * @param scaling by which a panorama's numbers of pixels are scaled; if they are not those of the picture that was read, its
 *   properties go. Absent if the picture was turned: then all properties of places go
 */
export function uprightXmp(xmp: string, scaling?: Scaling): string {
  const isSame = scaling && isSameSize(scaling.from, scaling.to);
  const panorama = scaling && isPanoramaOf(xmp, scaling.from) ? scaling : undefined;
  const isUntrue = (name: string) =>
    UNTRUE.some((pattern) => pattern.test(name)) ||
    (!panorama && name.startsWith('GPano:')) ||
    (!scaling && OF_PLACE.test(name)) ||
    (!isSame && OF_SIZE.test(name));
  const kept = withoutElements(panorama ? scaledPanorama(xmp, panorama) : xmp, isUntrue);
  return kept
    .replace(/\s([A-Za-z][\w-]*:\w+)\s*=\s*(?:"[^"]*"|'[^']*')/g, (all, name: string) => (isUntrue(name) ? '' : all))
    .replace(/(tiff:Orientation\s*=\s*["'])\d(["'])/g, '$11$2')
    .replace(/(<tiff:Orientation>)\s*\d\s*(<)/g, '$11$2');
}

/** Removes elements in linear time. A regular expression would search for each end tag up to the last byte. */
function withoutElements(xml: string, isUnwanted: (name: string) => boolean): string {
  const kept: string[] = [];
  const unclosed = new Set<string>();
  let done = 0;
  for (let from = xml.indexOf('<'); from >= 0; from = xml.indexOf('<', from + 1)) {
    const name = /^[A-Za-z][\w-]*:\w+/.exec(xml.slice(from + 1, from + 80))?.[0];
    if (name === undefined || !isUnwanted(name) || unclosed.has(name)) continue;
    const tagEnd = xml.indexOf('>', from);
    const endTag = `</${name}>`;
    const end = xml[tagEnd - 1] === '/' ? tagEnd + 1 : xml.indexOf(endTag, from) + endTag.length;
    if (tagEnd < 0 || end < tagEnd) {
      unclosed.add(name);
      continue;
    }
    kept.push(xml.slice(done, from));
    done = end;
    from = end - 1;
  }
  return kept.join('') + xml.slice(done);
}

function isPanoramaOf(xmp: string, { width, height }: Size): boolean {
  const states = (name: string, value: number) =>
    new RegExp(`GPano:${name}(?:\\s*=\\s*["']|>)\\s*${value}\\s*["'<]`).test(xmp);
  return states('CroppedAreaImageWidthPixels', width) && states('CroppedAreaImageHeightPixels', height);
}

function scaledPanorama(xmp: string, { from, to }: Scaling): string {
  const scaled = (text: string, names: string, ratio: number) =>
    text.replace(
      new RegExp(`(GPano:(?:${names})(?:\\s*=\\s*["']|>)\\s*)(\\d+)`, 'g'),
      (_all, before: string, value: string) => `${before}${Math.round(Number(value) * ratio)}`,
    );
  return scaled(scaled(xmp, ACROSS, to.width / from.width), DOWN, to.height / from.height);
}
