import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

export interface Installation {
  readonly folder: string;
  /** All that decides what ends up in the folder. */
  readonly key: string;
  /** Files, relative to the folder, without which the installation counts as broken. */
  readonly essential: readonly string[];
  readonly build: () => Promise<void>;
}

interface Stamp {
  readonly key: string;
  readonly sizes: Readonly<Record<string, number>>;
}

/**
 * Builds a folder once; again when the key differs, or an essential file has another size. The stamp is written last.
 * (No build-aside-and-rename: a virtual environment has its own path in its files.)
 */
export async function installOnce({ folder, key, essential, build }: Installation): Promise<void> {
  const stampFile = join(folder, '.stamp.json');
  const hash = createHash('sha256').update(key).digest('hex');
  const sizes = (): Stamp['sizes'] =>
    Object.fromEntries(essential.map((name) => [name, statSync(join(folder, name)).size]));
  if (isWhole(stampFile, hash, sizes)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await build();
  const stamp: Stamp = { key: hash, sizes: sizes() };
  writeFileSync(`${stampFile}.new`, JSON.stringify(stamp));
  renameSync(`${stampFile}.new`, stampFile);
}

function isWhole(stampFile: string, hash: string, sizes: () => Stamp['sizes']): boolean {
  try {
    const stamp = JSON.parse(readFileSync(stampFile, 'utf8')) as Stamp;
    return stamp.key === hash && JSON.stringify(stamp.sizes) === JSON.stringify(sizes());
  } catch {
    return false;
  }
}
