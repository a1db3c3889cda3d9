import { edited, flipped, rearranged, truncated } from './mutations.js';
import { foreign, polyglots } from './foreign.js';
import { duds } from './bombs.js';
import { random } from './random.js';
import { type Seed, seeds } from './seeds.js';

export interface HostileFile {
  readonly name: string;
  readonly kind: string;
  readonly bytes: Buffer;
  /** How it must end, where that is certain. */
  readonly outcome?: string;
}

/** How many of each kind are made of every seed. */
const EACH = { truncated: 10, flipped: 16, edited: 14, rearranged: 6 } as const;
const EXTENSIONS = { jpeg: 'png', png: 'webp', webp: 'svg', avif: 'jpg', tiff: 'gif', gif: 'tif' } as const;

/** The systematic run: damage of every kind to every format, and all that is no picture. The same files every time. */
export async function hostileFiles(): Promise<readonly HostileFile[]> {
  const sound = await seeds();
  const files: HostileFile[] = sound.flatMap((seed) => damaged(seed, random(seed.bytes.length)));
  for (const { name, format, bytes } of sound) {
    files.push({ name: `${name}.${EXTENSIONS[format]}`, kind: 'wrong extension', bytes, outcome: 'success' });
  }
  for (const [name, bytes] of Object.entries(await foreign())) {
    for (const extension of ['jpg', 'png']) {
      files.push({ name: `${name}.${extension}`, kind: 'foreign', bytes, outcome: 'UNSUPPORTED_FORMAT' });
    }
  }
  for (const [name, file] of Object.entries(await polyglots())) files.push({ name, kind: 'polyglot', ...file });
  for (const [name, file] of Object.entries(await duds())) files.push({ name, kind: 'dud', ...file });
  files.push({ name: 'empty', kind: 'empty', bytes: Buffer.alloc(0), outcome: 'INPUT_EMPTY' });
  files.push({ name: 'large', kind: 'large', bytes: Buffer.alloc(64 * 1024 * 1024 + 1), outcome: 'INPUT_TOO_LARGE' });
  return files;
}

function damaged(seed: Seed, chance: ReturnType<typeof random>): HostileFile[] {
  const makers = {
    truncated: (i: number) => truncated(seed.bytes, i, EACH.truncated),
    flipped: () => flipped(seed.bytes, chance),
    edited: () => edited(seed, chance),
    rearranged: () => rearranged(seed.bytes, chance),
  };
  return Object.entries(makers).flatMap(([damage, make]) =>
    Array.from({ length: EACH[damage as keyof typeof EACH] }, (_, i) => ({
      name: `${seed.name}-${damage}-${i}`,
      kind: `${seed.format} ${damage}`,
      bytes: make(i),
    })),
  );
}

/** As many more as are wanted, by chance alone: two kinds of damage at once now and then. */
export function* randomFiles(sound: readonly Seed[], count: number, seedNumber: number): Generator<HostileFile> {
  const chance = random(seedNumber);
  for (let i = 0; i < count; i++) {
    const seed = sound[chance(sound.length)];
    if (!seed) return;
    let { bytes } = seed;
    for (let rounds = 1 + chance(3); rounds > 0 && bytes.length > 8; rounds--) {
      const damage = chance(4);
      if (damage === 0) bytes = truncated(bytes, 1 + chance(99), 100);
      else if (damage === 1) bytes = flipped(bytes, chance);
      else if (damage === 2) bytes = edited({ ...seed, bytes }, chance);
      else bytes = rearranged(bytes, chance);
    }
    yield { name: `${seed.name}-${seedNumber}-${i}`, kind: `${seed.format} random`, bytes };
  }
}

/** Rows: kind; columns: outcome. */
export function tableOf(ends: readonly { readonly kind: string; readonly outcome: string }[]): string {
  const outcomes = [...new Set(ends.map(({ outcome }) => outcome))].sort();
  const kinds = [...new Set(ends.map(({ kind }) => kind))].sort();
  const count = (kind: string, outcome: string) =>
    ends.filter((end) => end.kind === kind && end.outcome === outcome).length;
  const row = (head: string, cells: readonly (string | number)[]) =>
    head.padEnd(18) + cells.map((cell) => String(cell).padStart(23)).join('');
  return [
    row('', outcomes),
    ...kinds.map((kind) =>
      row(
        kind,
        outcomes.map((outcome) => count(kind, outcome) || '.'),
      ),
    ),
    row(
      `${ends.length} files`,
      outcomes.map((outcome) => ends.filter((end) => end.outcome === outcome).length),
    ),
  ].join('\n');
}
