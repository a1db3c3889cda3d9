/** What happens to files on their way: transfers that break off, disks that lose or mix up sectors. */
import type { Chance, SoundFile } from './sound.js';

export interface DamagedFile {
  readonly name: string;
  readonly kind: keyof typeof HARMS;
  readonly sound: SoundFile;
  readonly bytes: Buffer;
}

/** Bytes of a sector; small ones, because the pictures are small. */
const SECTORS = [64, 128, 512, 4_096];
const END = Buffer.from([0xff, 0xd9]);

type Harm = (bytes: Buffer, chance: Chance) => Buffer;

const cut: Harm = (bytes, chance) => bytes.subarray(0, 1 + chance(bytes.length - 1));

/** Replaces a sector by `fill`. */
const sector =
  (fill: (old: Buffer, chance: Chance) => Uint8Array): Harm =>
  (bytes, chance) => {
    const size = SECTORS[chance(SECTORS.length)] ?? 512;
    const at = chance(Math.ceil(bytes.length / size)) * size;
    const old = bytes.subarray(at, at + size);
    return Buffer.concat([bytes.subarray(0, at), fill(old, chance), bytes.subarray(at + size)]);
  };

export const HARMS = {
  cut,
  'cut, with an end marker': (bytes, chance) => Buffer.concat([cut(bytes, chance), END]),
  'zeros to the end': (bytes, chance) => {
    const from = 1 + chance(bytes.length - 1);
    return Buffer.concat([bytes.subarray(0, from), Buffer.alloc(bytes.length - from)]);
  },
  'a sector of zeros': sector((old) => Buffer.alloc(old.length)),
  'a sector of noise': sector((old, chance) => Buffer.from(old.map(() => chance(256)))),
  'a sector lost': sector(() => Buffer.alloc(0)),
  'a sector twice': sector((old) => Buffer.concat([old, old])),
  'two sectors swapped': (bytes, chance) => {
    const size = SECTORS[chance(SECTORS.length)] ?? 512;
    const count = Math.floor(bytes.length / size);
    if (count < 2) return cut(bytes, chance);
    const [a, b] = [chance(count) * size, chance(count) * size];
    const swapped = Buffer.from(bytes);
    bytes.copy(swapped, a, b, b + size);
    bytes.copy(swapped, b, a, a + size);
    return swapped;
  },
} as const satisfies Record<string, Harm>;

const KINDS = Object.keys(HARMS) as (keyof typeof HARMS)[];

export function damage(sound: SoundFile, chance: Chance): DamagedFile {
  const kind = KINDS[chance(KINDS.length)] ?? 'cut';
  return { name: `${kind}: ${sound.name}`, kind, sound, bytes: HARMS[kind](sound.bytes, chance) };
}
