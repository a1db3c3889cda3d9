/** Removes from XMP what is not true of the result. XMP is text, and is changed as text. */

/**
 * Properties about the file that was read: its size, its colours, its thumbnails, and other pictures and films in it (motion
 * photos, gain maps). A panorama's numbers of pixels are true at the old size only, so all of its properties go.
 */
const UNTRUE = [
  /^(?:xmp|xap):Thumbnails$/,
  /^tiff:(?:ImageWidth|ImageLength|BitsPerSample|PhotometricInterpretation|SamplesPerPixel|Compression)$/,
  /^exif:(?:PixelXDimension|PixelYDimension|ColorSpace)$/,
  /^photoshop:(?:ICCProfile|ColorMode)$/,
  /^GPano:/,
  /^(?:GCamera|Camera|OpCamera):(?:MotionPhoto|MicroVideo|HDRP|hdrp)/,
  /^(?:hdrgm|HDRGainMap|HDRGainMapMetadata|apdi|GContainer|Container|GDepth|GImage|GAudio|Device):/,
];

/** The XMP of the upright sRGB picture: orientation 1, and nothing of the file that was read. */
export function uprightXmp(xmp: string): string {
  const isUntrue = (name: string) => UNTRUE.some((pattern) => pattern.test(name));
  return withoutElements(xmp, isUntrue)
    .replace(/\s([A-Za-z]+:\w+)\s*=\s*(?:"[^"]*"|'[^']*')/g, (all, name: string) => (isUntrue(name) ? '' : all))
    .replace(/(tiff:Orientation\s*=\s*["'])\d(["'])/g, '$11$2')
    .replace(/(<tiff:Orientation>)\s*\d\s*(<)/g, '$11$2');
}

/** Removes elements in linear time. A regular expression would search for each end tag up to the last byte. */
function withoutElements(xml: string, isUnwanted: (name: string) => boolean): string {
  const kept: string[] = [];
  const unclosed = new Set<string>();
  let done = 0;
  for (let from = xml.indexOf('<'); from >= 0; from = xml.indexOf('<', from + 1)) {
    const name = /^[A-Za-z]+:\w+/.exec(xml.slice(from + 1, from + 80))?.[0];
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
