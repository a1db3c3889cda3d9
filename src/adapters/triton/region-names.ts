/**
 * The names of regions: `imagen.<host>.<namespace of its process ids>.<process>.<token>.<number>`. A name says which worker
 * owns the region, and whether that worker is alive.
 *
 * In its own namespace a worker can look up process ids. It cannot see those of another namespace, which may even have the
 * same host name: two containers of a pod, or this container's predecessor. So every worker keeps a file beside the regions
 * and updates its time while it lives.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, readlinkSync, rmSync, statSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAlive } from '../is-alive.js';

export const DIRECTORY = '/dev/shm';
const HOST = `imagen.${hostname()}.`;
const SIGN_OF_LIFE = 'alive';
const BEAT_MS = 10_000;
/** A worker whose event loop blocks for this long loses its regions. It notices as after a restart of the server. */
const DEAD_AFTER_MS = 60_000;

/** `pid:[4026531836]`. If /proc is not readable, every other worker counts as another namespace. */
function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return `unknown-${randomBytes(4).toString('hex')}`;
  }
}
const NAMESPACE = namespace();
/** In a container every worker is process 1. The token distinguishes this worker from its predecessor. */
const OWN = `${HOST}${NAMESPACE}.${process.pid}.${randomBytes(4).toString('hex')}.`;

const SIGN = `${DIRECTORY}/${OWN}${SIGN_OF_LIFE}`;

let lastNumber = 0;
let beating: NodeJS.Timeout | undefined;

/**
 * Starts the sign of life at the first call.
 * @returns a name that no other region has
 */
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
    // Creating a region reports a full or missing /dev/shm. Without the file, other workers may reclaim the regions.
  }
}

/** Whether a region or file belongs to a dead worker of this host. */
export function isOrphan(name: string): boolean {
  if (!name.startsWith(HOST) || name.startsWith(OWN)) return false;
  const [space, pid, token] = name.slice(HOST.length).split('.');
  if (space === NAMESPACE) return Number(pid) === process.pid || !isAlive(Number(pid));
  return !showsLife(`${DIRECTORY}/${HOST}${space}.${pid}.${token}.${SIGN_OF_LIFE}`);
}

/** Files that dead workers have left. Signs of life come last, because they decide about the others. */
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
