/** What `keepMetadata` keeps is true of the result. */
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { encode } from '../../../src/pipeline/encode.js';
import { densityOf } from '../../../src/pipeline/exif.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { decodeFile } from '../../support/decode.js';
import { tiff, type TiffOptions } from '../../support/tiff.js';
import { png, readExif, segmentAt, withSegment } from '../../support/pictures.js';
import { uprightXmp } from '../../../src/pipeline/xmp.js';

const given = (name: string) => readFileSync(new URL(`../../fixtures/cases/${name}`, import.meta.url));
const SIZE = { width: 16, height: 8 };
const plain = () =>
  sharp({ create: { ...SIZE, channels: 3, background: '#864' } })
    .jpeg()
    .toBuffer();

/** Decodes a file and encodes it with its metadata, by default at half of its size. */
async function kept(bytes: Buffer, format: keyof typeof FORMATS = 'jpeg', scale = 0.5): Promise<Buffer> {
  const { raster, metadata } = await decodeFile(bytes, { maxPixels: 1_000_000 });
  const { width, height, rgb: data } = raster;
  const size = { width: width * scale, height: height * scale };
  return (await encode({ width, height, channels: 3, data }, { format: FORMATS[format], size, metadata })).bytes;
}

/** Density as a file states it; undefined if it states none. */
function stated(file: Buffer): number | undefined {
  if (file.toString('latin1', 1, 4) === 'PNG') {
    const at = file.indexOf('pHYs');
    return at < 0 ? undefined : Math.round(file.readUInt32BE(at + 4) * 0.0254);
  }
  const at = segmentAt(file, 0xe0);
  return at < 0 || file[at + 11] === 0 ? undefined : file.readUInt16BE(at + 12);
}

const jfif = (jpeg: Buffer, unit: number, density: number, down = density) =>
  withSegment(
    jpeg,
    0xe0,
    Buffer.from([...Buffer.from('JFIF\0'), 1, 2, unit, density >> 8, density & 255, down >> 8, down & 255, 0, 0]),
  );

/** EXIF with one directory of numbers, in either byte order. A rational may have a denominator. */
function exifOf(
  little: boolean,
  entries: readonly (readonly [tag: number, type: number, value: number, denominator?: number])[],
): Buffer {
  const tiff = Buffer.alloc(8 + 2 + entries.length * 12 + 4 + entries.length * 8);
  const put = (value: number, at: number, bytes: number) =>
    little ? tiff.writeUIntLE(value, at, bytes) : tiff.writeUIntBE(value, at, bytes);
  tiff.write(little ? 'II*\0' : 'MM\0*', 'latin1');
  put(8, 4, 4);
  put(entries.length, 8, 2);
  let apart = 8 + 2 + entries.length * 12 + 4;
  entries.forEach(([tag, type, value, denominator = 1], i) => {
    const at = 10 + i * 12;
    put(tag, at, 2);
    put(type, at + 2, 2);
    put(1, at + 4, 4);
    if (type === 5) {
      put(apart, at + 8, 4);
      put(value, apart, 4);
      put(denominator, apart + 4, 4);
      apart += 8;
    } else put(value, at + 8, type === 1 ? 1 : type === 3 ? 2 : 4);
  });
  return Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
}

describe('density', () => {
  const phys = (unit: number, across = 11_811, down = across) => {
    const data = Buffer.alloc(9);
    data.writeUInt32BE(across);
    data.writeUInt32BE(down, 4);
    data[8] = unit;
    return png({ ...SIZE, colour: 'rgb', depth: 8, pixel: () => [1, 2, 3], chunks: { pHYs: data } });
  };
  const inExif = async (value: number, unit: number, denominator = 1) =>
    withSegment(
      await plain(),
      0xe1,
      exifOf(true, [[0x011a, 5, value, denominator], [0x011b, 5, value, denominator], [0x0128, 3, unit]]), // prettier-ignore
    );
  const CASES: Readonly<Record<string, readonly [() => Buffer | Promise<Buffer>, number | undefined]>> = {
    '18a-jfif300.jpg': [() => given('18a-jfif300.jpg'), 300],
    'JFIF, 600 an inch': [async () => jfif(await plain(), 1, 600), 600],
    'JFIF, 118 a centimetre': [async () => jfif(await plain(), 2, 118), 300],
    'JFIF, a fax, whose pixels are not square': [async () => jfif(await plain(), 1, 204, 98), undefined],
    'JFIF, the shape of a pixel': [async () => jfif(await plain(), 0, 1), undefined],
    'EXIF, 240 an inch': [
      async () => withSegment(await plain(), 0xe1, exifOf(true, [[0x011a, 5, 240], [0x011b, 5, 240], [0x0128, 3, 2]])), // prettier-ignore
      240,
    ],
    'EXIF, 94.488 a centimetre': [() => inExif(94_488, 3, 1000), 240],
    'EXIF, 236.22 a centimetre': [() => inExif(23_622, 3, 100), 600],
    'EXIF, without a unit': [() => inExif(300, 1), undefined],
    'EXIF, 300 / 0': [() => inExif(300, 2, 0), undefined],
    'EXIF, 0': [() => inExif(0, 2), undefined],
    'EXIF, 72, which is unknown': [
      async () => withSegment(await plain(), 0xe1, exifOf(false, [[0x011a, 5, 72], [0x011b, 5, 72], [0x0128, 3, 2]])), // prettier-ignore
      undefined,
    ],
    'PNG, 300 an inch': [() => phys(1), 300],
    'PNG, the shape of a pixel': [() => phys(0), undefined],
    'PNG, more than fits into a JFIF': [() => phys(1, 10_000_000), undefined],
    'PNG, 0': [() => phys(1, 0), undefined],
    'PNG, a fax': [() => phys(1, 8031, 3858), undefined],
    'PNG without': [() => png({ ...SIZE, colour: 'rgb', depth: 8, pixel: () => [1, 2, 3] }), undefined],
  };

  it.each(Object.entries(CASES))('is kept, and not invented: %s', async (_name, [make, density]) => {
    const bytes = await make();
    for (const format of ['jpeg', 'png'] as const) expect(stated(await kept(bytes, format))).toBe(density);
  });

  it.each([
    [300, 1],
    [0, 2],
    [4_000_000_000, 2],
  ])('is unknown in EXIF, too, where the file says %i of unit %i', async (value, unit) => {
    const block = (await sharp(await kept(await inExif(value, unit))).metadata()).exif ?? expect.fail();
    expect(block.readUInt32LE(block.indexOf(Buffer.from([0x1a, 1, 5, 0])) + 8)).toBeGreaterThan(0);
    expect(densityOf(block)).toBeUndefined();
    expect(readExif(block).tags.get(0x0128)).toBe(2);
  });

  it('is not invented where no metadata is kept', async () => {
    const picture = { ...SIZE, channels: 3, data: Buffer.alloc(SIZE.width * SIZE.height * 3) } as const;
    for (const format of ['jpeg', 'png'] as const) {
      expect(stated((await encode(picture, { format: FORMATS[format], size: SIZE })).bytes)).toBeUndefined();
    }
  });
});

describe('orientation in EXIF', () => {
  const table = [true, false].flatMap((little) =>
    [1, 3, 4].map((type) => [little ? 'II' : 'MM', type, little] as const),
  );

  it.each(table)('is 1 in the result, whatever type the entry has: %s, %i', async (_order, type, little) => {
    const out = await kept(withSegment(await plain(), 0xe1, exifOf(little, [[0x0112, type, 3]])));
    expect(readExif((await sharp(out).metadata()).exif ?? Buffer.alloc(0)).tags.get(0x0112)).toBe(1);
  });

  it('is 1 in the result: 28b-orient-long-be.jpg', async () => {
    expect((await sharp(await kept(given('28b-orient-long-be.jpg'))).metadata()).orientation).toBe(1);
  });
});

describe('EXIF of a TIFF', () => {
  const text = (tag: number, words: string) => ({
    ...{ tag, type: 'ascii' as const, values: [...Buffer.from(`${words}\0`)] },
  });
  const photo = { ...SIZE, photometric: 2, pixel: (x: number, y: number) => [x, y, 9] };
  const details = [
    { tag: 0x829a, type: 'rational' as const, values: [1, 250] },
    text(0x9003, '2026:11:28 09:00:00'),
    { tag: 0x927c, type: 'byte' as const, values: [1, 2, 3, 4, 5, 6] },
    { tag: 0xa001, values: [2] },
  ];
  const place = [text(1, 'N'), { tag: 2, type: 'rational' as const, values: [48, 1, 8, 1, 30, 1] }];
  const described: TiffOptions = {
    ...photo,
    tags: [text(0x010f, 'Nikon'), text(0x013b, 'A. Photographer'), text(0x8298, '(c) me')],
    below: [
      { tag: 0x8769, tags: details },
      { tag: 0x8825, tags: place },
    ],
  };

  it.each<[string, Partial<TiffOptions>]>([
    ['II', { order: 'II' }],
    ['MM', { order: 'MM' }],
    ['BigTIFF', { big: true }],
    ['BigTIFF, MM', { big: true, order: 'MM' }],
    ['tiles', { tile: 16 }],
  ])('is kept, without what belongs to the file: %s', async (_, how) => {
    for (const format of ['jpeg', 'webp', 'png'] as const) {
      const found = await sharp(await kept(tiff({ ...described, ...how }), format)).metadata();
      const block = found.exif ?? expect.fail();
      for (const words of ['Nikon', 'A. Photographer', '(c) me', '2026:11:28 09:00:00'])
        expect(block.includes(words)).toBe(true);
      const { tags } = readExif(block);
      expect([0x829a, 0x8825].map((tag) => tags.has(tag))).toEqual([true, true]);
      // Strips, tiles and maker's notes are not; the result is sRGB.
      expect([273, 279, 324, 0x927c].filter((tag) => tags.has(tag))).toEqual([]);
      expect(tags.get(0xa001)).toBe(1);
    }
  });

  it.each<[string, TiffOptions]>([
    ['has none', photo],
    ['has a directory outside of the file', { ...photo, tags: [{ tag: 0x8769, type: 'long', values: [99_999_999] }] }],
    ['has too much', { ...photo, tags: [text(0x010e, 'x'.repeat(70_000))] }],
  ])('is left out, and the picture read, where the file %s', async (_, options) => {
    const { raster, metadata } = await decodeFile(tiff(options), { maxPixels: 1_000 });
    expect([raster.width, metadata.exif]).toEqual([SIZE.width, undefined]);
  });

  it('follows a directory that names itself once', async () => {
    const itself = tiff({ ...photo, tags: [{ tag: 0x8769, type: 'long', values: [0] }] });
    const first = itself.readUInt32LE(4);
    const at = itself.indexOf(Buffer.from([0x69, 0x87, 4, 0]));
    itself.writeUInt32LE(first, at + 8);
    expect((await decodeFile(itself, { maxPixels: 1_000 })).raster.width).toBe(SIZE.width);
  });
});

describe('EXIF', () => {
  const word = (tag: number, ...values: number[]) => ({ tag, values });
  const ratio = (tag: number, ...values: number[]) => ({ tag, type: 'rational' as const, values });
  /** A TIFF is a block of EXIF, and has strips, which are no strips of the result. */
  const block = (orientation = 1) =>
    Buffer.concat([
      Buffer.from('Exif\0\0', 'latin1'),
      tiff({
        ...{ ...SIZE, photometric: 2, pixel: () => [1, 2, 3] },
        tags: [
          ...[word(0x0112, orientation), ratio(0x013e, 313, 1000, 329, 1000)],
          ...[ratio(0x013f, 64, 100, 33, 100, 21, 100, 71, 100, 15, 100, 6, 100), word(0x0212, 2, 2)],
        ],
        below: [
          {
            tag: 0x8769,
            tags: [
              ratio(0x829a, 1, 250),
              ratio(0x9102, 4, 1),
              word(0xa214, 9, 5),
              ratio(0xa20e, 4000, 1),
              ratio(0xa500, 22, 10),
            ],
          },
        ],
      }),
    ]);
  const tagsOf = async (file: Buffer) => {
    const { exif } = await sharp(file).metadata();
    return [...readExif(exif ?? expect.fail()).tags.keys()];
  };

  it('says nothing of how the file that was read stored its pixels, and in which colours', async () => {
    for (const format of ['jpeg', 'png', 'webp'] as const) {
      const tags = await tagsOf(await kept(withSegment(await plain(), 0xe1, block()), format));
      const untrue = [0x0103, 0x0106, 0x0111, 0x0115, 0x0117, 0x012d, 0x013e, 0x013f, 0x0212, 0x9102, 0xa500];
      expect(tags.filter((tag) => untrue.includes(tag))).toEqual([]);
      expect(tags).toContain(0x829a);
    }
  });

  it.each([
    [1, 1, true],
    [0.5, 1, false],
    [1, 3, false],
  ])('keeps what counts pixels only at their places: scale %f, orientation %i', async (scale, orientation, isKept) => {
    const file = await kept(withSegment(await plain(), 0xe1, block(orientation)), 'jpeg', scale);
    expect((await tagsOf(file)).filter((tag) => [0xa214, 0xa20e].includes(tag))).toHaveLength(isKept ? 2 : 0);
  });

  it('says sRGB where the file that was read says nothing', async () => {
    const exif = exifOf(true, [[0x0112, 3, 1]]);
    for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) {
      const found = (await sharp(await kept(withSegment(await plain(), 0xe1, exif), format)).metadata()).exif;
      expect(readExif(found ?? expect.fail()).tags.get(0xa001)).toBe(1);
    }
  });

  it('is not invented', async () => {
    for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) {
      expect((await sharp(await kept(await plain(), format)).metadata()).exif).toBeUndefined();
    }
  });
});

describe('IPTC', () => {
  const resource = (id: number, data: Buffer, name = '') => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(bytes.length % 2)]);
    const title = padded(Buffer.from([name.length, ...Buffer.from(name)]));
    return Buffer.concat([Buffer.from('8BIM'), Buffer.from([id >> 8, id & 255]), title, head, padded(data)]);
  };
  const photoshop = (...resources: Buffer[]) => Buffer.concat([Buffer.from('Photoshop 3.0\0'), ...resources]);
  const caption = resource(0x0404, Buffer.from('\x1c\x02\x78\0\x05hello', 'latin1'), 'odd');
  const old = [
    resource(0x03ed, Buffer.alloc(16)),
    resource(0x040c, Buffer.from('thumbnail')),
    resource(0x0422, Buffer.from('EXIF')),
  ];

  it('keeps the words, and no thumbnail of the file that was read', async () => {
    const before = photoshop(...old, caption, ...old);
    expect((await sharp(await kept(withSegment(await plain(), 0xed, before))).metadata()).iptc).toEqual(
      photoshop(caption),
    );
  });

  it.each([
    ['cut short', photoshop(caption).subarray(0, -4)],
    ['of thumbnails alone', photoshop(...old)],
    ['of another kind', Buffer.from('\x1c\x02\x78\0\x05hello', 'latin1')],
  ])('is left out if it is %s', async (_, before) => {
    expect((await sharp(await kept(withSegment(await plain(), 0xed, before))).metadata()).iptc).toBeUndefined();
  });
});

describe('the size in EXIF', () => {
  it('is not that of the file that was read', async () => {
    const block = exifOf(false, [[0x0100, 4, 9999], [0x0101, 4, 7777], [0x0112, 3, 1]]); // prettier-ignore
    const { tags } = readExif(
      (await sharp(await kept(withSegment(await plain(), 0xe1, block))).metadata()).exif ?? Buffer.alloc(0),
    );
    expect([tags.get(0x0100), tags.get(0x0101)]).not.toContain(9999);
    expect([tags.get(0x0100), tags.get(0x0101)]).not.toContain(7777);
  });
});

describe('XMP', () => {
  const xmp = (attributes: string, elements = '') =>
    `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description ` +
    `xmlns:dc="http://purl.org/dc/elements/1.1/" dc:rights="me" ${attributes}>${elements}<dc:title>kept</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>`;
  const withXmp = async (text: string) =>
    withSegment(await plain(), 0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${text}`, 'latin1'));
  const GONE: Readonly<Record<string, string>> = {
    'motion photo': xmp(
      'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MotionPhotoPresentationTimestampUs=\'5\'',
    ),
    'micro video': xmp('GCamera:MicroVideo="1" GCamera:MicroVideoOffset="123"'),
    'a list of other pictures and films': xmp(
      '',
      '<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Mime="video/mp4"/></rdf:li></rdf:Seq></Container:Directory>',
    ),
    'gain map': xmp('hdrgm:Version="1.0" hdrgm:GainMapMax="2"', '<hdrgm:Gamma>1</hdrgm:Gamma>'),
    "Apple's gain map": xmp('HDRGainMap:HDRGainMapVersion="65536"'),
    panorama: xmp('GPano:FullPanoWidthPixels="4000" GPano:ProjectionType="equirectangular"'),
    'panorama in elements': xmp('', '<GPano:CroppedAreaImageWidthPixels>4000</GPano:CroppedAreaImageWidthPixels>'),
    'the size': xmp(
      'tiff:ImageWidth="4000" exif:PixelXDimension="4000"',
      '<exif:PixelYDimension>3000</exif:PixelYDimension>',
    ),
    'the colour space': xmp('exif:ColorSpace="65535" photoshop:ICCProfile="Adobe RGB (1998)"'),
    thumbnails: xmp('', '<xmp:Thumbnails><rdf:Alt><rdf:li>abc</rdf:li></rdf:Alt></xmp:Thumbnails>'),
    'the format': xmp('dc:format="image/x-canon-cr2"'),
    'the rest of the XMP, in other segments': xmp('xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"'),
    'the colours of Adobe RGB': xmp(
      'exifEX:Gamma="22/10"',
      '<tiff:WhitePoint><rdf:Seq><rdf:li>313/1000</rdf:li></rdf:Seq></tiff:WhitePoint>',
    ),
    'the place of the subject': xmp('', '<exif:SubjectArea><rdf:Seq><rdf:li>12</rdf:li></rdf:Seq></exif:SubjectArea>'),
    'an element without an end': xmp('GPano:Foo="1"', '<hdrgm:Gamma/>'),
  };

  it.each(Object.entries(GONE))('loses what is not true any more: %s', async (_name, text) => {
    const out = (await sharp(await kept(await withXmp(text))).metadata()).xmp?.toString() ?? '';
    expect(out).toContain('dc:rights="me"');
    expect(out).toContain('<dc:title>kept</dc:title>');
    expect(out).not.toMatch(
      /GCamera:|Container:|hdrgm:|HDRGainMap:|GPano:|ImageWidth|Dimension|ColorSpace|ICCProfile|Thumbnails|dc:format|HasExtended|Gamma|WhitePoint|SubjectArea/,
    );
  });

  const pano = (width: number, height: number) =>
    `GPano:ProjectionType="equirectangular" GPano:CroppedAreaImageWidthPixels="${width}" GPano:FullPanoWidthPixels='600' ` +
    `GPano:CroppedAreaLeftPixels="50" GPano:CroppedAreaImageHeightPixels="${height}" GPano:PoseHeadingDegrees="90"`;
  const tall =
    '<GPano:FullPanoHeightPixels> 300 </GPano:FullPanoHeightPixels><GPano:CroppedAreaTopPixels>10</GPano:CroppedAreaTopPixels>';

  it.each([1, 2, 4, 0.5])('keeps a panorama, with its pixels times %f', (scale) => {
    const to = { width: 400 * scale, height: 200 * scale };
    const out = uprightXmp(xmp(pano(400, 200), tall), { from: { width: 400, height: 200 }, to });
    const wanted = [
      ...[`ImageWidthPixels="${to.width}"`, `FullPanoWidthPixels='${600 * scale}'`, `LeftPixels="${50 * scale}"`],
      ...[`ImageHeightPixels="${to.height}"`, `HeightPixels> ${300 * scale} <`, `TopPixels>${10 * scale}<`],
      ...['PoseHeadingDegrees="90"', 'equirectangular'],
    ];
    for (const text of wanted) expect(out).toContain(text);
  });

  it('drops a panorama of another size than the picture, or of one that was turned', () => {
    const size = { width: 400, height: 200 };
    expect(uprightXmp(xmp(pano(401, 200), tall), { from: size, to: size })).not.toContain('GPano:');
    expect(uprightXmp(xmp(pano(400, 200), tall))).not.toContain('GPano:');
  });

  it('keeps faces where they are, unless the picture was turned', () => {
    const size = { width: 400, height: 200 };
    const faces = xmp(
      '',
      '<mwg-rs:Regions><mwg-rs:Area stArea:x="0.3"/></mwg-rs:Regions><MP:RegionInfo>x</MP:RegionInfo>',
    );
    expect(uprightXmp(faces, { from: size, to: { width: 100, height: 50 } })).toBe(faces);
    expect(uprightXmp(faces)).not.toMatch(/mwg-rs:|MP:/);
  });

  it('keeps a panorama from a file to its result, which is half as large', async () => {
    const { width, height } = await sharp(await plain()).metadata();
    const out = (await sharp(await kept(await withXmp(xmp(pano(width, height))))).metadata()).xmp?.toString() ?? '';
    expect(out).toContain(`GPano:CroppedAreaImageWidthPixels="${width / 2}"`);
    expect(out).toContain("GPano:FullPanoWidthPixels='300'");
  });

  it('loses the film: 19a-motion.jpg', async () => {
    const out = await kept(given('19a-motion.jpg'));
    expect(out.toString('latin1')).not.toMatch(/MotionPhoto|MicroVideo|video\/mp4/);
  });
});
