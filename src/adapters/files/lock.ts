/** A lock among the processes of one machine. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 20;
/** How long to wait for the holder, which writes a few small files, in milliseconds. */
const WAIT_MS = 10_000;

/**
 * Runs work while no other process holds the lock. A lock whose process has ended is taken away.
 * @param path a file that exists while the lock is held
 * @throws Error if another process holds it for ten seconds; errors of the file system and of the work
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + WAIT_MS;
  while (!(await take(path))) {
    await removeDead(path);
    if (performance.now() > giveUpAt) throw new LockHeld(path);
    await sleep(PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** Its `syscall` tells the command line that it comes from the file system. */
class LockHeld extends Error {
  readonly syscall = 'open';
  constructor(path: string) {
    super(`${path}: another process has held this lock for ${WAIT_MS / 1000} s. If there is none, delete the file.`);
  }
}

/** A link appears with the process's id in it, or not at all. */
async function take(path: string): Promise<boolean> {
  const own = `${path}.${randomBytes(4).toString('hex')}`;
  await writeFile(own, String(process.pid));
  try {
    await link(own, path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  } finally {
    await rm(own, { force: true });
  }
}

/** Between the look and the removal another process may do the same and take the lock, so the removed file is looked at. */
async function removeDead(path: string): Promise<void> {
  const found = await lookAt(path);
  if (!found || isAlive(found.pid)) return;
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return; // another process has removed it
    throw thrown;
  }
  if ((await lookAt(aside))?.inode !== found.inode) await rename(aside, path);
  else await rm(aside, { force: true });
}

async function lookAt(path: string): Promise<{ readonly pid: number; readonly inode: number } | undefined> {
  try {
    const [text, { ino }] = [await readFile(path, 'utf8'), await stat(path)];
    return { pid: Number(text), inode: ino };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return true; // somebody else has written it
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
