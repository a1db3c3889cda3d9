import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PartId } from '../parts/part.js';
import type { Ports } from './ports.js';
import { bootId, isAlive, type ProcessId } from './processes.js';

/** What an instance folder remembers. Read and written only under the folder's lock. */
export interface State {
  readonly boot: string;
  readonly ports: Ports;
  readonly parts: Partial<Record<PartId, ProcessId & { readonly run: string; readonly log: string }>>;
}

const file = (dir: string): string => join(dir, 'state.json');

/** Parts that have died since are left out; undefined where nothing is alive. */
export function readState(dir: string): State | undefined {
  let state: State;
  try {
    state = JSON.parse(readFileSync(file(dir), 'utf8')) as State;
  } catch {
    return undefined; // never up; it is written atomically, so it is never half there
  }
  if (state.boot !== bootId()) return undefined;
  const alive = Object.entries(state.parts).filter(([, part]) => isAlive(part));
  return alive.length === 0 ? undefined : { ...state, parts: Object.fromEntries(alive) };
}

export function writeState(dir: string, state: State | undefined): void {
  if (!state) {
    rmSync(file(dir), { force: true });
    return;
  }
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${file(dir)}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file(dir)}.new`, file(dir));
}
