/** libjpeg-turbo gives what sharp gives: the same pixels, files and refusals. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { damage } from '../../../scripts/lab/damage/harm.js';
import { type SoundFile, soundFile } from '../../../scripts/lab/damage/sound.js';
import { seeded } from '../../../scripts/lab/random.js';
import { JobError } from '../../../src/domain/errors.js';
import { readHeader } from '../../../src/pipeline/decode.js';
import { encode, type Pixels } from '../../../src/pipeline/encode.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { loadTurboJpeg, type TurboJpeg, turboFor } from '../../../src/pipeline/jpeg/turbo.js';
import { decodeFile } from '../../support/decode.js';
import { adobeRgbProfile } from '../../support/icc.js';
import { cmykJpeg, exif, jpegInScans, segmentAt, withJpegProfile, withSegment } from '../../support/pictures.js';

const library = turboFor('auto') ?? expect.fail('libturbojpeg0 is missing: scripts/install-debian-packages.sh');
const LIMIT = { maxPixels: 1_000_000 };
const CASES = join(import.meta.dirname, '../../fixtures/cases');
const chance = (seed: number) => {
  const next = seeded(seed);
  return (below: number) => Math.floor(next() * below);
};

/** The library, and how often it did the work. */
function counted() {
  const done = { headers: 0, decoded: 0, encoded: 0 };
  const tally = <T>(what: keyof typeof done, result: T): T => {
    if (result !== undefined) done[what]++;
    return result;
  };
  const turbo: TurboJpeg = {
    header: (jpeg) => tally('headers', library.header(jpeg)),
    decode: async (...args) => tally('decoded', await library.decode(...args)),
    encode: async (...args) => tally('encoded', await library.encode(...args)),
  };
  return { turbo, done };
}

/** The picture, what is said of it, or the code of the error. */
async function outcomeOf(bytes: Buffer, turbo: TurboJpeg | null) {
  try {
    const { raster, warnings, metadata } = await decodeFile(bytes, { ...LIMIT, turbo });
    return { size: [raster.width, raster.height], rgb: raster.rgb.toString('base64'), warnings, metadata };
  } catch (thrown) {
    if (!(thrown instanceof JobError)) throw thrown;
    return { code: thrown.code, message: thrown.message };
  }
}

async function expectSame({ name, bytes }: Pick<SoundFile, 'name' | 'bytes'>, turbo: TurboJpeg) {
  expect(await outcomeOf(bytes, turbo), name).toEqual(await outcomeOf(bytes, null));
}

describe('libjpeg-turbo', () => {
  it('decodes sound files of many encoders to the pixels of sharp', async () => {
    const { turbo, done } = counted();
    const random = chance(31);
    for (let i = 0; i < 120; i++) await expectSame(await soundFile(random, 1, ['jpeg']), turbo);
    expect(done.headers).toBeGreaterThanOrEqual(120);
    expect(done.decoded).toBe(120);
  });

  it('decides nothing about damaged files: each one ends as it does with sharp alone', async () => {
    const { turbo } = counted();
    const random = chance(32);
    for (let i = 0; i < 250; i++) await expectSame(damage(await soundFile(random, 1, ['jpeg']), random), turbo);
  });

  it.each(readdirSync(CASES).filter((name) => name.endsWith('.jpg')))('agrees on %s', async (name) => {
    await expectSame({ name, bytes: readFileSync(join(CASES, name)) }, library);
  });

  it('does not decode a file without tables by those of the file before', async () => {
    const whole = await soundFile(chance(1), 40, ['jpeg']);
    const at = segmentAt(whole.bytes, 0xdb);
    const without = Buffer.concat([
      whole.bytes.subarray(0, at),
      whole.bytes.subarray(at + 2 + whole.bytes.readUInt16BE(at + 2)),
    ]);
    await expectSame(whole, library);
    const { turbo, done } = counted();
    await expectSame({ name: 'no tables', bytes: without }, turbo);
    expect(done.decoded).toBe(0);
  });

  const coffee = readFileSync(join(import.meta.dirname, '../../fixtures/photos/coffee.jpg'));
  const photo = () => sharp(coffee).resize(61, 35, { fit: 'fill' });
  const jpeg = (options = {}) => photo().jpeg(options).toBuffer();

  it.each([
    ['a turned picture', async () => withSegment(await jpeg(), 0xe1, exif(6))],
    ['a profile', async () => withJpegProfile(await jpeg(), adobeRgbProfile())],
    ['inks', () => cmykJpeg({ width: 20, height: 12 }, [200, 30, 90, 5])],
  ])('leaves %s to sharp', async (name, make) => {
    const { turbo, done } = counted();
    await expectSame({ name, bytes: await make() }, turbo);
    expect(done.decoded).toBe(0);
  });

  it('keeps what metadata say of a picture that it decodes', async () => {
    const { turbo, done } = counted();
    const described = await photo().withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>').jpeg().toBuffer();
    await expectSame({ name: 'XMP', bytes: described }, turbo);
    expect(done).toMatchObject({ headers: 0, decoded: 1 });
    expect((await decodeFile(described, { ...LIMIT, turbo })).metadata.xmp).toBeDefined();
  });

  it('says of bare files what sharp says of them', async () => {
    const files = [
      await jpeg(),
      await jpeg({ progressive: true }),
      await photo().toColourspace('b-w').jpeg().toBuffer(),
      await jpegInScans(photo().png()),
    ];
    for (const bytes of files) {
      const { file, structure, ...header } = await readHeader(bytes, { ...LIMIT, turbo: library });
      const own = await readHeader(bytes, LIMIT);
      expect(header).toEqual({ ...own, file: undefined, structure: undefined });
      expect(own.file).toMatchObject(file);
      expect(structure.jpeg?.isBare).toBe(true);
      await expectSame({ name: 'bare', bytes }, library);
    }
  });

  it('declines a size that the file does not have, and bytes that are no JPEG', async () => {
    const bytes = await jpeg();
    expect(await library.decode(bytes, { width: 61, height: 34 })).toBeUndefined();
    expect(await library.decode(bytes, { width: 610, height: 350 })).toBeUndefined();
    expect(library.header(Buffer.from('no picture'))).toBeUndefined();
    expect(library.header(Buffer.alloc(0))).toBeUndefined();
    await expect(library.encode(Buffer.alloc(8), { width: 2, height: 2 }, 80, '4:2:0')).rejects.toThrow(/expected 2x2/);
  });

  it('encodes to the bytes of sharp', async () => {
    const { turbo, done } = counted();
    const sizes = [
      ...[1, 2, 7, 8, 9, 16, 17, 33].map((side) => ({ width: side, height: 1 + ((side * 5) % 23) })),
      { width: 301, height: 203 },
    ];
    for (const size of sizes) {
      const data = await photo().resize(size.width, size.height, { fit: 'fill' }).raw().toBuffer();
      for (const quality of [1, 10, 49, 50, 75, 85, 89, 90, 95, 99, 100, undefined]) {
        const pixels: Pixels = { ...size, channels: 3, data };
        const options = { format: FORMATS.jpeg, size, ...(quality === undefined ? {} : { quality }) };
        const [own, other] = [await encode(pixels, { ...options, turbo }), await encode(pixels, options)];
        expect(own.bytes.equals(other.bytes), `${size.width}x${size.height} ${quality}`).toBe(true);
        expect(own).toMatchObject(size);
      }
    }
    expect(done.encoded).toBe(sizes.length * 12);
  });

  it('leaves alpha, masks, grey, metadata, other sizes and other formats to sharp', async () => {
    const { turbo, done } = counted();
    const size = { width: 16, height: 8 };
    const data = await photo().resize(16, 8).raw().toBuffer();
    const rgb: Pixels = { ...size, channels: 3, data };
    const jpegs = { format: FORMATS.jpeg, size, turbo };
    await encode({ ...rgb, alpha: Buffer.alloc(128, 9) }, { ...jpegs, background: '#ffffff' });
    await encode({ ...size, channels: 1, data: Buffer.alloc(128) }, jpegs);
    await encode({ ...rgb, grey: true }, jpegs);
    await encode(rgb, { ...jpegs, metadata: { density: 300 } });
    await encode(rgb, { ...jpegs, size: { width: 8, height: 4 } });
    await encode(rgb, { ...jpegs, format: FORMATS.png });
    expect(done.encoded).toBe(0);
  });

  it('says why a machine has no library, and is not used where the setting says so', () => {
    const found = loadTurboJpeg('libnosuchjpeg.so.0');
    expect(found).toMatchObject({ missing: expect.stringContaining('libnosuchjpeg.so.0') as string });
    expect(turboFor('sharp', () => expect.fail())).toBeUndefined();
  });

  it('is missing, and not an error, where koffi has no build for the machine', () => {
    const found = loadTurboJpeg(undefined, () => {
      throw new Error('Cannot find the native Koffi module');
    });
    expect(found).toEqual({ missing: 'libturbojpeg.so.0: Cannot find the native Koffi module' });
  });

  it('does many pictures at once, each with its own pixels', async () => {
    const pictures = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        photo()
          .resize(200 + i, 150)
          .tint({ r: i * 10, g: 100, b: 50 })
          .jpeg()
          .toBuffer(),
      ),
    );
    const alone = await Promise.all(pictures.map((bytes) => sharp(bytes).raw().toBuffer()));
    const together = await Promise.all(
      pictures.map((bytes, i) => library.decode(bytes, { width: 200 + i, height: 150 })),
    );
    together.forEach((rgb, i) => expect(rgb?.equals(alone[i] ?? Buffer.alloc(0)), String(i)).toBe(true));
  });
});
