import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../dev/stack/paths.js';

/** To be loaded into workers; what they do is said there. */
export const crashPoints = join(root, 'scripts/lab/chaos/crash-points.js');
export const refusalPoints = join(root, 'scripts/lab/chaos/refusals.js');

/** The steps after which a worker can die, in their order; `publish` is the last moment before the ack. */
export const CRASH_STEPS = ['fetch', 'decode', 'infer', 'encode', 'store', 'record', 'publish'] as const;

export interface Crash {
  readonly jobId: string;
  readonly step: string;
  readonly attempt: number;
  readonly pid: number;
  readonly at: number;
}

export function readCrashes(folder: string): Crash[] {
  return readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Crash);
}
