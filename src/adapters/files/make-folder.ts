import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Creates a folder and those above it, each once: Node's own recursive `mkdir` never ends under /proc.
 * @param path absolute
 * @throws Error that says that a file is in the way; errors of the file system
 */
export function makeFolder(path: string): void {
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return;
  // Its `syscall` tells the command line that it comes from the file system.
  if (stat) throw Object.assign(new Error(`${path}: expected a folder, given a file`), { syscall: 'mkdir' });
  try {
    mkdirSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown; // another process has created it
  }
}
