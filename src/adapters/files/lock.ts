/** A lock on files that other machines may share: a model of a repository, the routes. */
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isAlive } from '../is-alive.js';

const ownerSchema = z.object({ id: z.string(), host: z.string(), pid: z.number(), by: z.string() });
type Owner = z.output<typeof ownerSchema>;

/**
 * How often the holder touches the lock's file, and how long after the last touch it counts as dead, in milliseconds.
 */
const ALIVE_MS = 5_000;
const DEAD_MS = 60_000;
/** How long `withLock` waits for the holder, which writes a few small files, and between two attempts, in milliseconds. */
const WAIT_MS = 10_000;
const PAUSE_MS = 20;

export interface Lock {
  /** Whether this process still holds the lock. A process that was stopped for a minute has lost it. */
  held(): Promise<boolean>;
  release(): Promise<void>;
}

/**
 * @param by names the holder in the error of a process that comes second
 * @returns who holds it, if it is held
 */
export async function takeLock(file: string, by: string): Promise<Lock | { readonly holder: string }> {
  const owner: Owner = { id: randomUUID(), host: hostname(), pid: process.pid, by };
  const draft = `${file}.${owner.id}`;
  await writeFile(draft, JSON.stringify(owner));
  try {
    // A link appears with its content, and only if there is none.
    if (!(await linked(draft, file))) {
      const holder = await clear(file);
      if (holder !== undefined) return { holder };
      if (!(await linked(draft, file))) return { holder: 'another one' };
    }
  } finally {
    await rm(draft, { force: true });
  }
  await removeDrafts(file);
  const held = async () => (await ownerOf(file))?.id === owner.id;
  const timer = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined); // if the lock is lost, `held` says so
  }, ALIVE_MS);
  timer.unref();
  return {
    held,
    async release() {
      clearInterval(timer);
      if (await held()) await rm(file, { force: true });
    },
  };
}

/**
 * Runs work while no other process holds the lock.
 * @param path a file that exists while the lock is held
 * @throws Error if another process holds it for ten seconds; errors of the file system and of the work
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + WAIT_MS;
  for (;;) {
    const lock = await takeLock(path, `process ${process.pid}`);
    if (!('holder' in lock)) {
      try {
        return await work();
      } finally {
        await lock.release();
      }
    }
    if (performance.now() > giveUpAt) throw new LockHeld(path);
    await sleep(PAUSE_MS);
  }
}

/** Its `syscall` tells the command line that it comes from the file system. */
class LockHeld extends Error {
  readonly syscall = 'open';
  constructor(path: string) {
    super(`${path}: another process has held this lock for ${WAIT_MS / 1000} s. If there is none, delete the file.`);
  }
}

async function linked(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes the lock of a holder that is dead. @returns the holder if it lives */
async function clear(file: string): Promise<string | undefined> {
  const owner = await ownerOf(file);
  if (!(await isDead(file, owner))) return owner?.by ?? 'another one';
  const aside = `${file}.${randomUUID()}`;
  await rename(file, aside).catch(() => undefined); // another process has removed it
  const taken = await ownerOf(aside);
  // Another process has removed it and taken a new lock, which is restored.
  if (taken && taken.id !== owner?.id) await linked(aside, file);
  await rm(aside, { force: true });
  return undefined;
}

/** Whether the process that wrote the file has ended. A file that is gone counts as written by one that has. */
async function isDead(file: string, owner: Owner | undefined): Promise<boolean> {
  if (owner?.host === hostname() && !isAlive(owner.pid)) return true;
  const found = await stat(file).catch(() => undefined);
  return !found || Date.now() - found.mtimeMs > DEAD_MS;
}

/** Removes the drafts of processes that were killed while they took the lock. */
async function removeDrafts(file: string): Promise<void> {
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(`${basename(file)}.`)) continue;
    const draft = join(dirname(file), name);
    if (await isDead(draft, await ownerOf(draft))) await rm(draft, { force: true });
  }
}

async function ownerOf(file: string): Promise<Owner | undefined> {
  try {
    return ownerSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data;
  } catch {
    return undefined; // it is gone, or damaged: then its age decides
  }
}
