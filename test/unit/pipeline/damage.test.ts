/** Nothing damaged passes, and nothing that viewers show whole is refused. Each kind is made in several ways. */
import { readFileSync } from 'node:fs';
import sharp, { type JpegOptions } from 'sharp';
import { describe, expect, it } from 'vitest';
import { damage } from '../../../scripts/lab/damage/harm.js';
import { attempt, distance, judge } from '../../../scripts/lab/damage/judge.js';
import { soundFile } from '../../../scripts/lab/damage/sound.js';
import { seeded } from '../../../scripts/lab/random.js';
import { JobError } from '../../../src/domain/errors.js';
import { warning } from '../../../src/domain/warnings.js';
import type { Decoded } from '../../../src/pipeline/decode.js';
import { png, segmentAt, withSegment } from '../../support/pictures.js';

const given = (name: string) => readFileSync(new URL(`../../fixtures/cases/${name}`, import.meta.url));
const photo = (name: string) => readFileSync(new URL(`../../fixtures/photos/${name}.jpg`, import.meta.url));
const small = (name: string, options: JpegOptions, width = 200) =>
  sharp(photo(name)).resize(width).jpeg(options).toBuffer();

/** Several encodings of several pictures. */
const MAKERS = {
  'baseline 4:2:0': () => small('chelsea', { quality: 80 }),
  'baseline 4:4:4, fine': () => small('coffee', { quality: 98, chromaSubsampling: '4:4:4' }),
  'baseline, coarse, own tables': () => small('rocket', { quality: 20, optimiseCoding: true }, 203),
  'baseline, grey': () => sharp(photo('astronaut')).resize(99).toColourspace('b-w').jpeg({ quality: 75 }).toBuffer(),
  progressive: () => small('astronaut', { quality: 85, progressive: true }),
} as const;
type Maker = keyof typeof MAKERS;
const all = Object.keys(MAKERS) as Maker[];
const sequential = all.filter((name) => name !== 'progressive');
const END = Buffer.from([0xff, 0xd9]);

/** Offset of the first byte of the first scan's data. */
const dataOf = (jpeg: Buffer) => {
  const at = jpeg.indexOf(Buffer.from([0xff, 0xda]), segmentAt(jpeg, 0xc4));
  return at + 2 + jpeg.readUInt16BE(at + 2);
};
const zeroed = (bytes: Buffer, from: number, to = bytes.length) => Buffer.from(bytes).fill(0, from, to);
const at = (bytes: Buffer, part: number) => dataOf(bytes) + Math.floor((bytes.length - dataOf(bytes)) * part);
/** The markers of the scans. */
const scansOf = (jpeg: Buffer) => {
  const found: number[] = [];
  for (let i = jpeg.indexOf(0xff); i >= 0; i = jpeg.indexOf(0xff, i + 1)) if (jpeg[i + 1] === 0xda) found.push(i);
  return found;
};

interface Kind {
  readonly of: readonly Maker[];
  readonly make: (sound: Buffer) => Buffer;
}

const DAMAGED: Readonly<Record<string, Kind>> = {
  'cut in the middle': { of: all, make: (b) => b.subarray(0, at(b, 0.5)) },
  'cut in the middle, with an end marker': { of: all, make: (b) => Buffer.concat([b.subarray(0, at(b, 0.5)), END]) },
  'an end marker in the last row of blocks': {
    of: all,
    make: (b) => Buffer.concat([b.subarray(0, b.length - 12), END]),
  },
  'zeros from the middle on': { of: all, make: (b) => zeroed(b, at(b, 0.5)) },
  'zeros in the last tenth': { of: all, make: (b) => zeroed(b, at(b, 0.9)) },
  'zeros in the middle': { of: all, make: (b) => zeroed(b, at(b, 0.4), at(b, 0.4) + 200) },
  'two parts swapped': {
    of: all,
    make: (b) => {
      const [from, middle, to] = [at(b, 0.3), at(b, 0.4), at(b, 0.6)];
      return Buffer.concat([b.subarray(0, from), b.subarray(middle, to), b.subarray(from, middle), b.subarray(to)]);
    },
  },
  'a part lost': { of: all, make: (b) => Buffer.concat([b.subarray(0, at(b, 0.5)), b.subarray(at(b, 0.6))]) },
  'a part twice': { of: all, make: (b) => Buffer.concat([b.subarray(0, at(b, 0.6)), b.subarray(at(b, 0.5))]) },
  'the first scan only': {
    of: ['progressive'],
    make: (b) => Buffer.concat([b.subarray(0, scansOf(b)[1]), END]),
  },
  'all scans but the last': {
    of: ['progressive'],
    make: (b) => Buffer.concat([b.subarray(0, scansOf(b).at(-1)), END]),
  },
  'all scans but one in the middle': {
    of: ['progressive'],
    make: (b) => {
      const [, , from, to] = scansOf(b);
      return Buffer.concat([b.subarray(0, from), b.subarray(to)]);
    },
  },
};

/** What viewers show whole, and the warning that says so. */
const WHOLE: Readonly<Record<string, Kind & { readonly warns?: Parameters<typeof warning>[0] }>> = {
  'as it is': { of: all, make: (b) => b },
  'a trailer of 100 KB': { of: all, make: (b) => Buffer.concat([b, Buffer.alloc(100_000, 7)]) },
  'a trailer of zeros': { of: all, make: (b) => Buffer.concat([b, Buffer.alloc(5_000)]) },
  'another JPEG behind it': { of: all, make: (b) => Buffer.concat([b, b]) },
  'no end marker': { of: all, make: (b) => b.subarray(0, b.length - 2), warns: 'no-end' },
  'fill bytes before the end marker': {
    of: all,
    make: (b) => Buffer.concat([b.subarray(0, -2), Buffer.alloc(9, 0xff), END]),
  },
  'bytes before the first table': {
    of: all,
    make: (b) =>
      Buffer.concat([b.subarray(0, segmentAt(b, 0xdb)), Buffer.alloc(50, 3), b.subarray(segmentAt(b, 0xdb))]),
    warns: 'extra-bytes',
  },
  'bytes behind the first segment': {
    of: all,
    make: (b) => {
      const to = 4 + b.readUInt16BE(4);
      return Buffer.concat([b.subarray(0, to), Buffer.from([0, 1, 2, 3]), b.subarray(to)]);
    },
    warns: 'extra-bytes',
  },
  'a scan header with Se 0': { of: sequential, make: (b) => limits(b, [0, 0, 0]), warns: 'scan-limits' },
  'a scan header with Ss 1': { of: sequential, make: (b) => limits(b, [1, 63, 0]), warns: 'scan-limits' },
  'a scan header with Ah and Al': { of: sequential, make: (b) => limits(b, [0, 63, 0x11]), warns: 'scan-limits' },
  'an unknown version of JFIF': {
    of: sequential,
    make: (b) => withSegment(b, 0xe0, Buffer.from('JFIF\0\x09\0\0\0\x01\0\x01\0\0', 'latin1')),
  },
};

function limits(jpeg: Buffer, values: readonly number[]): Buffer {
  const copy = Buffer.from(jpeg);
  copy.set(values, dataOf(copy) - 3);
  return copy;
}

const tableOf = <K extends Kind>(kinds: Readonly<Record<string, K>>) =>
  Object.entries(kinds).flatMap(([name, kind]) => kind.of.map((maker) => [name, maker, kind] as const));

async function decoded(bytes: Buffer): Promise<Decoded> {
  const end = await attempt(bytes);
  if (end instanceof JobError) throw end;
  return end;
}

describe('a damaged JPEG', () => {
  it.each(tableOf(DAMAGED))('is refused: %s, %s', async (_name, maker, { make }) => {
    await expect(decoded(make(await MAKERS[maker]()))).rejects.toMatchObject({ code: 'INPUT_CORRUPT' });
  });

  it.each(['04-eoi-in-last-row.jpg', '04g-zero-tail-q98.jpg', '34d-prog-dc-only-eoi.jpg'])('is refused: %s', (name) =>
    expect(decoded(given(name))).rejects.toMatchObject({ code: 'INPUT_CORRUPT' }),
  );
});

describe('a JPEG with more blocks in an MCU than the standard permits', () => {
  const segment = (marker: number, body: readonly number[]) =>
    Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body]);
  /** A table with one code, all zeros. */
  const table = (kind: number, length: number, symbol: number) =>
    segment(0xc4, [kind, ...Array.from({ length: 16 }, (_, i) => (i === length - 1 ? 1 : 0)), symbol]);

  // Each coefficient takes 31 bits, so an MCU of 32 blocks or more is longer than what is read at a time.
  it.each([0x24, 0x42, 0x44])('is refused: a sampling of 0x%x', async (sampling) => {
    const file = Buffer.concat([
      Buffer.from([0xff, 0xd8]),
      segment(0xdb, [0, ...Array.from({ length: 64 }, () => 1)]),
      segment(0xc0, [8, 1, 0, 1, 0, 3, ...[1, 2, 3].flatMap((id) => [id, sampling, 0])]),
      ...[table(0x00, 1, 0), table(0x10, 16, 0x0f)],
      segment(0xda, [3, 1, 0, 2, 0, 3, 0, 0, 63, 0]),
      ...[Buffer.alloc(200_000), END],
    ]);
    const refused = decoded(file);
    await expect(refused).rejects.toMatchObject({ code: 'INPUT_CORRUPT' });
    await expect(refused).rejects.toThrow('expected at most 10 blocks in an MCU, given');
  });
});

describe('a JPEG that viewers show whole', () => {
  it.each(tableOf(WHOLE))('is read: %s, %s', async (_name, maker, { make, warns }) => {
    const sound = await MAKERS[maker]();
    const found = await decoded(make(sound));
    expect(found.warnings).toEqual(warns ? [warning(warns)] : []);
    expect(distance(found, await decoded(sound))).toBe(0);
  });

  it.each([
    [1, 'padding of zeros'],
    [9, 'some bytes'],
    [20_000, 'many bytes'],
  ])('is read with %i bytes behind the last block: %s', async (count) => {
    for (const maker of sequential) {
      const sound = await MAKERS[maker]();
      const found = await decoded(Buffer.concat([sound.subarray(0, -2), Buffer.alloc(count), END]));
      expect(found.warnings).toEqual([warning('extra-bytes')]);
      expect(distance(found, await decoded(sound))).toBe(0);
    }
  });

  it('is read with wrong limits in its scan header: 02a-sos-se0.jpg', async () => {
    const found = await decoded(given('02a-sos-se0.jpg'));
    expect(found.warnings).toEqual([warning('scan-limits')]);
    expect(distance(found, await decoded(given('02-base.jpg')))).toBe(0);
  });
});

describe('a WebP', () => {
  const webp = (options: object) => sharp(photo('coffee')).resize(100).webp(options).toBuffer();
  const OPTIONS = [{ quality: 80 }, { lossless: true }, { quality: 20, alphaQuality: 10 }];

  it.each(OPTIONS)('is read with bytes behind it: %o', async (options) => {
    const sound = await webp(options);
    for (const count of [1, 1_000, 100_000]) {
      const found = await decoded(Buffer.concat([sound, Buffer.alloc(count)]));
      expect(found.warnings).toEqual([]);
      expect(distance(found, await decoded(sound))).toBe(0);
    }
  });

  it('is read with 48 KB of zeros behind it: 44a2-webp-padded48k.webp', async () => {
    expect((await decoded(given('44a2-webp-padded48k.webp'))).warnings).toEqual([]);
  });
});

describe('a sound file of a kind that is not read', () => {
  /** The frame header of a JPEG, changed. */
  const framed = async (maker: Maker, change: (frame: Buffer) => void) => {
    const jpeg = await MAKERS[maker]();
    change(jpeg.subarray(Math.max(segmentAt(jpeg, 0xc0), segmentAt(jpeg, 0xc2))));
    return jpeg;
  };
  const apple = () => {
    const plain = png({ width: 4, height: 4, colour: 'rgb', depth: 8, pixel: () => [1, 2, 3] });
    return Buffer.concat([
      plain.subarray(0, 8),
      Buffer.from('\0\0\0\x04CgBI\x50\0\x20\x06\x2c\xb8\x77\x66', 'latin1'),
      plain.subarray(8),
    ]);
  };
  const start = (text: string) => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(200)]);
  const KINDS: Readonly<Record<string, readonly [() => Buffer | Promise<Buffer>, RegExp]>> = {
    '17a-12bit.jpg': [() => given('17a-12bit.jpg'), /12 bits per channel/],
    'JPEG of 12 bits, extended': [() => framed('baseline, grey', (f) => f.set([0xc1, 0, 11, 12], 1)), /12 bits/],
    'JPEG of 12 bits, progressive': [() => framed('progressive', (f) => f.set([12], 4)), /12 bits/],
    'lossless JPEG': [() => framed('baseline 4:2:0', (f) => f.set([0xc3], 1)), /lossless/],
    'lossless JPEG, arithmetic coding': [() => framed('baseline, grey', (f) => f.set([0xcb], 1)), /lossless/],
    'hierarchical JPEG': [() => framed('baseline 4:2:0', (f) => f.set([0xc5], 1)), /hierarchical/],
    'JPEG with DNL': [() => framed('baseline 4:2:0', (f) => f.set([0, 0], 5)), /DNL/],
    'JPEG with DNL, grey': [() => framed('baseline, grey', (f) => f.set([0, 0], 5)), /DNL/],
    'JPEG with DNL, progressive': [() => framed('progressive', (f) => f.set([0, 0], 5)), /DNL/],
    'PNG of Apple': [apple, /CgBI/],
    HEIC: [() => start('\0\0\0\x18ftypheic\0\0\0\0mif1heic'), /HEIC.*JPEG/],
    'HEIC, sequence': [() => start('\0\0\0\x18ftyphevc\0\0\0\0msf1hevc'), /HEIC.*JPEG/],
    'JPEG XL': [() => start('\xff\x0a\xfa\x1f\x01\x90'), /JPEG XL.*convert/],
    'JPEG XL in boxes': [() => start('\0\0\0\x0cJXL \r\n\x87\n'), /JPEG XL.*convert/],
    BMP: [() => start('BM\x46\0\0\0'), /BMP.*convert/],
  };

  it.each(Object.entries(KINDS))('is refused by name: %s', async (_name, [make, words]) => {
    const end = await attempt(await make());
    expect(end).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    expect((end as JobError).message).toMatch(words);
  });
});

describe('a small part of `npm run damage`', () => {
  it('refuses no sound file, and finds what a format can know', { timeout: 60_000 }, async () => {
    const next = seeded(8);
    const chance = (below: number) => Math.floor(next() * below);
    const wrong: string[] = [];
    let refused = 0;
    for (let i = 0; i < 150; i++) {
      const sound = await soundFile(chance, 24);
      const whole = await attempt(sound.bytes);
      if (whole instanceof JobError) {
        wrong.push(`${sound.name}: ${whole.message}`);
        continue;
      }
      const harmed = damage(sound, chance);
      const { end } = await judge(harmed.bytes, whole);
      if (end === 'refused') refused++;
      // VP8, VP8L and pixels that are not compressed have no checksum (docs/pixels.md).
      const isUnknown = sound.format === 'webp' || sound.name.includes('"compression":"none"');
      if (end === 'silent' && !isUnknown) wrong.push(harmed.name);
    }
    expect(wrong).toEqual([]);
    expect(refused).toBeGreaterThan(100);
  });
});

describe('a WebP of which a part became zeros', () => {
  const picture = (width: number) => sharp(photo('coffee')).resize(width);
  const kinds = {
    lossy: () => picture(600).webp({ quality: 80 }).toBuffer(),
    'lossy, fast': () => picture(300).webp({ quality: 95, effort: 0 }).toBuffer(),
    'lossy, with alpha': () => picture(400).ensureAlpha(0.5).webp({ quality: 60 }).toBuffer(),
    lossless: () => picture(250).webp({ lossless: true }).toBuffer(),
    'near lossless': () => picture(333).webp({ nearLossless: true, effort: 1 }).toBuffer(),
    animated: () =>
      sharp([photo('coffee'), photo('chelsea')], { join: { animated: true } })
        .resize(300)
        .webp({ quality: 70 })
        .toBuffer(),
  };

  it.each(Object.keys(kinds) as (keyof typeof kinds)[])('is refused: %s', async (kind) => {
    const sound = await kinds[kind]();
    expect(await attempt(sound)).not.toBeInstanceOf(JobError);
    const half = Math.floor(sound.length / 2);
    const harmed = { 'the second half': zeroed(sound, half), 'an end': zeroed(sound, Math.floor(sound.length * 0.6)) };
    for (const [name, bytes] of Object.entries(harmed)) {
      expect(await attempt(bytes), name).toMatchObject({ code: 'INPUT_CORRUPT' });
    }
  });

  // The coder writes zeros while nothing is surprising.
  it.each(['#000', '#fff', '#808080', '#123456'])('is told from one colour, %s', async (background) => {
    for (const [width, height] of [
      [100, 100],
      [1_500, 1_000],
      [16_000, 16],
    ] as const) {
      for (const options of [
        { quality: 100, effort: 0 },
        { quality: 1, effort: 0 },
        { quality: 75 },
        { lossless: true },
      ]) {
        const flat = sharp({ create: { width, height, channels: 3, background } });
        expect(await attempt(await flat.webp(options).toBuffer()), JSON.stringify(options)).not.toBeInstanceOf(
          JobError,
        );
      }
    }
  });
});
