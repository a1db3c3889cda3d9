import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A pid alone may be somebody else's tomorrow; with the time it started (clock ticks since boot) it names one process. */
export interface ProcessId {
  readonly pid: number;
  readonly startTime: number;
}

/** Every process of an instance, and every child of one, carries these in its environment: the folder and the `up` that started it. */
export const markerOfFolder = 'IMAGEN_STACK_DIR';
export const markerOfRun = 'IMAGEN_STACK_RUN';

export interface Marker {
  readonly dir: string;
  readonly run: string;
}

export const markerEnv = (dir: string, run: string): Record<string, string> => ({
  ...{ [markerOfFolder]: dir, [markerOfRun]: run },
});

export interface LiveProcess extends ProcessId {
  readonly parent: number;
  readonly command: string;
}

export type MarkedProcess = LiveProcess & Marker;

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Undefined if the process does not exist or is a zombie. */
export function inspect(pid: number): LiveProcess | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const command = read(`/proc/${pid}/cmdline`)?.split('\0').join(' ').trim() ?? '';
  return { pid, parent: Number(fields[1]), startTime: Number(fields[19]), command };
}

export const isAlive = (id: ProcessId): boolean => inspect(id.pid)?.startTime === id.startTime;

/**
 * Finds the live processes of an instance by the marker in their environment, regardless of their parents. Skips this
 * process and its ancestors.
 */
export function findMarked(matches: (marker: Marker) => boolean): MarkedProcess[] {
  const lineage = ancestors();
  return pids().flatMap((pid) => {
    if (lineage.has(pid)) return [];
    const marker = markerOf(pid);
    const found = marker && matches(marker) ? inspect(pid) : undefined;
    return marker && found ? [{ ...found, ...marker }] : [];
  });
}

/**
 * Ends processes until `find` returns none. Sends SIGTERM to those whose parent is not among them, because a server
 * ends its own children. After the grace period it sends SIGKILL to all.
 */
export async function stopAll(find: () => LiveProcess[], graceMs = 10_000): Promise<LiveProcess[]> {
  const asked = new Map<number, LiveProcess>();
  const killAt = Date.now() + graceMs;
  for (;;) {
    const left = find();
    if (left.length === 0) return [...asked.values()];
    if (Date.now() >= killAt + 10_000) {
      throw new Error(`still alive after SIGKILL: ${left.map(({ pid, command }) => `${pid} (${command})`).join(', ')}`);
    }
    const among = new Set(left.map(({ pid }) => pid));
    for (const process of left) {
      if (Date.now() >= killAt) {
        signal(process, 'SIGKILL');
      } else if (!among.has(process.parent) && asked.get(process.pid)?.startTime !== process.startTime) {
        asked.set(process.pid, process);
        signal(process, 'SIGTERM');
      }
    }
    await sleep(50);
  }
}

/** Who listens on a TCP port, as far as we may see: for messages only. */
export function listenerOn(port: number): LiveProcess | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const sockets = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => (read(file) ?? '').split('\n').map((line) => line.trim().split(/\s+/)))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) && fields[3] === '0A')
    .map((fields) => `socket:[${fields[9] ?? ''}]`);
  return pids()
    .filter((pid) => openFiles(pid).some((file) => sockets.includes(file)))
    .map(inspect)
    .find((process) => process !== undefined);
}

/** Sends a signal to a process, unless it has ended. */
export function signal(target: ProcessId, name: NodeJS.Signals): void {
  if (isAlive(target)) attempt(() => process.kill(target.pid, name)); // it may end at this moment
}

/** The folder alone is no marker: a developer exports it to choose a folder, and their shell and editor have it, too. */
function markerOf(pid: number): Marker | undefined {
  const [dir, run] = [variableOf(pid, markerOfFolder), variableOf(pid, markerOfRun)];
  return dir === undefined || run === undefined ? undefined : { dir, run };
}

/** Processes with a value of this variable in their environment that `matches`, as far as we may see. */
export const pidsWith = (name: string, matches: (value: string) => boolean): number[] =>
  pids().filter((pid) => matches(variableOf(pid, name) ?? ''));

function variableOf(pid: number, name: string): string | undefined {
  const environ = read(`/proc/${pid}/environ`);
  if (!environ?.includes(`${name}=`)) return undefined;
  return environ
    .split('\0')
    .find((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

function ancestors(): Set<number> {
  const lineage = new Set<number>();
  for (let pid = process.pid; pid > 0 && !lineage.has(pid); pid = inspect(pid)?.parent ?? 0) lineage.add(pid);
  return lineage;
}

const pids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger);

function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const names = attempt(() => readdirSync(folder)) ?? [];
  return names.flatMap((name) => attempt(() => readlinkSync(`${folder}/${name}`)) ?? []);
}

const read = (file: string): string | undefined => attempt(() => readFileSync(file, 'latin1'));

/** What is under /proc comes and goes with its process, and some of it is not ours to read: both count as absent. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
