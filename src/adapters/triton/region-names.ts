/**
 * The names of regions, which tell whose they are, and whether that worker is alive: `imagen.<host>.<namespace of its
 * process ids>.<process>.<token>.<number>`.
 *
 * Where the namespace is ours, its processes are. Of another one nothing can be seen from here, though it may have the
 * same host's name: two containers of a pod, or the one that was here before. So every worker keeps a file beside the
 * regions, whose time says that it lives.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, readlinkSync, rmSync, statSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';

export const DIRECTORY = '/dev/shm';
const HOST = `imagen.${hostname()}.`;
const SIGN_OF_LIFE = 'alive';
const BEAT_MS = 10_000;
/** A worker whose loop stands still for so long loses its regions, and finds out as after a restart of the server. */
const DEAD_AFTER_MS = 60_000;

/** `pid:[4026531836]`; where /proc is not to be seen, all are strangers. */
function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return `unknown-${randomBytes(4).toString('hex')}`;
  }
}
const NAMESPACE = namespace();
/** In a container every worker is process 1: the token tells this one from the one before. */
const OWN = `${HOST}${NAMESPACE}.${process.pid}.${randomBytes(4).toString('hex')}.`;

const SIGN = `${DIRECTORY}/${OWN}${SIGN_OF_LIFE}`;

let lastNumber = 0;
let beating: NodeJS.Timeout | undefined;

/** @returns a name that no other region has; from the first one on, this worker shows that it lives */
export function nameOwn(): string {
  if (!beating) {
    beating = setInterval(beat, BEAT_MS).unref();
    process.once('exit', () => rmSync(SIGN, { force: true }));
    beat();
  }
  return `${OWN}${++lastNumber}`;
}

function beat(): void {
  try {
    closeSync(openSync(SIGN, 'a', 0o660));
    utimesSync(SIGN, new Date(), new Date());
  } catch {
    // A full or missing /dev/shm shows where a region is made. Without a sign of life others may take the regions back.
  }
}

/** Whether a region or file belongs to a worker of this host that is dead. */
export function isOrphan(name: string): boolean {
  if (!name.startsWith(HOST) || name.startsWith(OWN)) return false;
  const [space, pid, token] = name.slice(HOST.length).split('.');
  if (space === NAMESPACE) return Number(pid) === process.pid || !isAlive(Number(pid));
  return !showsLife(`${DIRECTORY}/${HOST}${space}.${pid}.${token}.${SIGN_OF_LIFE}`);
}

/** Files that dead workers have left: signs of life last, by which the others are judged. */
export function orphanFiles(): string[] {
  const names = readdirSync(DIRECTORY).filter(isOrphan);
  const isSign = (name: string) => Number(name.endsWith(`.${SIGN_OF_LIFE}`));
  return names.sort((a, b) => isSign(a) - isSign(b)).map((name) => `${DIRECTORY}/${name}`);
}

function showsLife(file: string): boolean {
  try {
    return Date.now() - statSync(file).mtimeMs < DEAD_AFTER_MS;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
