/**
 * Colour profiles written by hand (ICC.1:2001-04, version 2.1), so that a test knows what is in them: matrix and tone
 * curve for RGB, a tone curve for grey, a table with one entry for each combination of inks for CMYK.
 */

type Triple = readonly [number, number, number];
type Colorants = readonly [Triple, Triple, Triple];

/** The colorants of Adobe RGB (1998), adapted to D50 as a profile wants them (B. Lindbloom, "RGB/XYZ Matrices"). */
const ADOBE_RGB_D50: Colorants = [
  [0.6097559, 0.3111242, 0.0194811],
  [0.2052401, 0.625656, 0.0608902],
  [0.149224, 0.0632197, 0.7448387],
];
/** Those of sRGB, from the same source. */
const SRGB_D50: Colorants = [
  [0.4360747, 0.2225045, 0.0139322],
  [0.3850649, 0.7168786, 0.0971045],
  [0.1430804, 0.0606169, 0.7141733],
];
const D50: Triple = [0.9642, 1, 0.8249];

/** Adobe RGB (1998) by its published numbers: its primaries, gamma 563/256. */
export const adobeRgbProfile = (): Buffer => rgbProfile(ADOBE_RGB_D50, 563 / 256);

/** sRGB's primaries without a tone curve: twice the number is twice the light. */
export const linearProfile = (): Buffer => rgbProfile(SRGB_D50, 1);

/**
 * A grey whose numbers are light to the power of 1/gamma, or have the light of a table.
 * @param pcs connection space; with Lab the curve gives lightness instead of light
 */
export const greyProfile = (gamma: number | readonly number[], pcs: 'XYZ ' | 'Lab ' = 'XYZ '): Buffer =>
  profile('GRAY', 'mntr', pcs, { wtpt: xyz(D50), kTRC: curve(gamma) });

/**
 * A press of one's own invention.
 * @param lab CIELAB (D50) of each combination of inks; cyan is bit 3, magenta 2, yellow 1, black 0
 */
export function cmykProfile(lab: (inks: number) => Triple): Buffer {
  const grid = Array.from({ length: 16 }, (_, inks) => {
    const [l, a, b] = lab(inks);
    return [Math.round((l * 255) / 100), Math.round(a) + 128, Math.round(b) + 128];
  }).flat();
  const ramp = Array.from({ length: 256 }, (_, value) => value);
  const head = Buffer.alloc(48);
  head.write('mft1', 0, 'latin1');
  head.set([4, 3, 2], 8); // inks in, Lab out, two grid points an axis
  [0, 4, 8].forEach((diagonal) => head.writeInt32BE(0x10000, 12 + diagonal * 4));
  const table = Buffer.from([...ramp, ...ramp, ...ramp, ...ramp, ...grid, ...ramp, ...ramp, ...ramp]);
  return profile('CMYK', 'prtr', 'Lab ', { wtpt: xyz(D50), A2B0: Buffer.concat([head, table]) });
}

function rgbProfile([r, g, b]: Colorants, gamma: number): Buffer {
  const trc = curve(gamma);
  const colorants = { rXYZ: xyz(r), gXYZ: xyz(g), bXYZ: xyz(b) };
  return profile('RGB ', 'mntr', 'XYZ ', { wtpt: xyz(D50), ...colorants, rTRC: trc, gTRC: trc, bTRC: trc });
}

function profile(space: string, kind: string, pcs: string, tags: Readonly<Record<string, Buffer>>): Buffer {
  const entries = Object.entries({ desc: description(`test ${space}`), cprt: copyright(), ...tags });
  const table = Buffer.alloc(4 + entries.length * 12);
  table.writeUInt32BE(entries.length);
  const bodies: Buffer[] = [];
  let offset = 128 + table.length;
  entries.forEach(([signature, body], i) => {
    table.write(signature, 4 + i * 12, 'latin1');
    table.writeUInt32BE(offset, 8 + i * 12);
    table.writeUInt32BE(body.length, 12 + i * 12);
    const padded = Buffer.concat([body, Buffer.alloc(-body.length & 3)]);
    bodies.push(padded);
    offset += padded.length;
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(offset);
  header.writeUInt32BE(0x02100000, 8);
  header.write(kind + space + pcs, 12, 'latin1');
  header.set([0x07, 0xe8, 0, 1, 0, 1], 24);
  header.write('acsp', 36, 'latin1');
  D50.forEach((value, i) => header.writeInt32BE(Math.round(value * 65536), 68 + i * 4));
  return Buffer.concat([header, table, ...bodies]);
}

function xyz(values: Triple): Buffer {
  const tag = Buffer.alloc(20);
  tag.write('XYZ ', 'latin1');
  values.forEach((value, i) => tag.writeInt32BE(Math.round(value * 65536), 8 + i * 4));
  return tag;
}

/** One entry is a gamma, in 1/256; none would be the identity. More are light, of 65,535. */
function curve(gamma: number | readonly number[]): Buffer {
  const entries = typeof gamma === 'number' ? [Math.round(gamma * 256)] : gamma;
  const tag = Buffer.alloc(12 + entries.length * 2);
  tag.write('curv', 'latin1');
  tag.writeUInt32BE(entries.length, 8);
  entries.forEach((entry, i) => tag.writeUInt16BE(entry, 12 + i * 2));
  return tag;
}

function description(text: string): Buffer {
  const tag = Buffer.alloc(12 + text.length + 1 + 8 + 3 + 67);
  tag.write('desc', 'latin1');
  tag.writeUInt32BE(text.length + 1, 8);
  tag.write(text, 12, 'latin1');
  return tag;
}

function copyright(): Buffer {
  return Buffer.from('text\0\0\0\0none\0', 'latin1');
}
