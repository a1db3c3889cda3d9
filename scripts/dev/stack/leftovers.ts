import { sep } from 'node:path';
import { localDir } from './paths.js';
import { findMarked, type MarkedProcess } from './processes.js';

/** What is still alive of an instance, or of all instances of this checkout: nothing, after a clean end. */
export function leftovers(dir?: string): MarkedProcess[] {
  return findMarked((marker) => (dir ? marker.dir === dir : marker.dir.startsWith(localDir + sep)));
}
