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

/**
 * Builds a folder once; again when the key differs, or an essential file has another size. The stamp is written last.
 * (No build-aside-and-rename: a virtual environment has its own path in its files.)
 */
export async function installOnce({ folder, key, essential, build }: Installation): Promise<void> {
  const stampFile = join(folder, '.stamp.json');
  const hash = createHash('sha256').update(key).digest('hex');
  const sizes = () => Object.fromEntries(essential.map((name) => [name, statSync(join(folder, name)).size]));
  const stamp = () => JSON.stringify({ key: hash, sizes: sizes() });
  if (isWhole(stampFile, stamp)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await build();
  writeFileSync(`${stampFile}.new`, stamp());
  renameSync(`${stampFile}.new`, stampFile);
}

function isWhole(stampFile: string, stamp: () => string): boolean {
  try {
    return readFileSync(stampFile, 'utf8') === stamp();
  } catch {
    return false;
  }
}
