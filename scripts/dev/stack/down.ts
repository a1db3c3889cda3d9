import { sep } from 'node:path';
import { parts } from '../parts/index.js';
import { quietly, withLock } from './lock.js';
import { localDir } from './paths.js';
import { findMarked, inspect, stopAll, type LiveProcess, type MarkedProcess } from './processes.js';
import { readState, writeState } from './state.js';

/** What is still alive of an instance, or of all instances of this checkout: nothing, after a clean end. */
export const leftovers = (dir?: string): MarkedProcess[] =>
  findMarked((marker) => (dir ? marker.dir === dir : marker.dir.startsWith(localDir + sep)));

/** Ends everything that belongs to the instance. Returns what had to be told to end. */
export function downStack({ dir }: { dir: string }): Promise<LiveProcess[]> {
  return withLock(dir, quietly, () => sweep(dir));
}

/** Under the folder's lock. Without `run`, everything in the folder; with it, only what that one `up` started. */
export async function sweep(dir: string, run?: string, spare?: number): Promise<LiveProcess[]> {
  const stopped = await stopAll(() => belonging(dir, run).filter(({ pid }) => pid !== spare));
  const left = readState(dir);
  for (const part of parts) {
    if (!left?.parts[part.id]) await part.clean?.(dir);
  }
  writeState(dir, left);
  return stopped;
}

/** By the marker that every process of ours and its children carry; and by what the folder remembers, should one have lost it. */
function belonging(dir: string, run: string | undefined): LiveProcess[] {
  const marked = findMarked((marker) => marker.dir === dir && (run === undefined || marker.run === run));
  const known = Object.values(readState(dir)?.parts ?? {}).filter((part) => run === undefined || part.run === run);
  const unmarked = known.filter(({ pid }) => !marked.some((process) => process.pid === pid));
  return [...marked, ...unmarked.flatMap(({ pid }) => inspect(pid) ?? [])];
}
