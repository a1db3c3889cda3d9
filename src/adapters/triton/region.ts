/**
 * A piece of memory shared with Triton, without native code: a file in /dev/shm, which the server maps when the region is
 * registered. The file's name goes as soon as the server has it mapped, so that a worker that dies leaves none behind.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, openSync, readdirSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { status } from '@grpc/grpc-js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure, TransportError } from './errors.js';

const DIRECTORY = '/dev/shm';
/** A worker's name for its regions: host, process, and a token, since in a container every worker is process 1. */
const HOST = `imagen.${hostname()}.`;
const OWN = `${HOST}${process.pid}.${randomBytes(4).toString('hex')}.`;
const ZEROS = Buffer.alloc(1024 * 1024);
/** These calls take milliseconds, and one that is given up half-way would leave a region behind. */
const CONTROL: CallOptions = { signal: new AbortController().signal, deadlineMs: 2_000 };

let lastNumber = 0;

/** One request at a time has it, for its inputs and its output. */
export class Region {
  #fd: number | undefined;

  private constructor(
    readonly name: string,
    readonly bytes: number,
    fd: number,
  ) {
    this.#fd = fd;
  }

  /**
   * @returns undefined when /dev/shm is full
   * @throws TransportError FAILED_PRECONDITION when the server does not share memory with us; ServiceError when it cannot
   * be reached; an error of the file system
   */
  static async create(channel: Channel, bytes: number): Promise<Region | undefined> {
    const name = `${OWN}${++lastNumber}`;
    const file = `${DIRECTORY}/${name}`;
    const fd = openSync(file, 'wx+');
    try {
      fchmodSync(fd, 0o660); // the server may run as another user of the same group
      // Written, not only sized: where memory has run out, this fails here, and not as a bus error in the server.
      for (let offset = 0; offset < bytes; offset += ZEROS.length) {
        writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, bytes - offset), offset);
      }
      await channel.call('SystemSharedMemoryRegister', { name, key: `/${name}`, offset: 0, byteSize: bytes }, CONTROL);
      return new Region(name, bytes, fd);
    } catch (error) {
      closeSync(fd);
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return undefined;
      if (isCallFailure(error) && error.code !== status.UNAVAILABLE && error.code !== status.DEADLINE_EXCEEDED) {
        const reason = `the server does not share memory with this host: ${error.details}`;
        throw new TransportError(status.FAILED_PRECONDITION, reason);
      }
      throw error;
    } finally {
      unlinkSync(file);
    }
  }

  /** Puts the buffers in one after another, aligned. @returns where each of them begins */
  write(buffers: readonly Buffer[]): number[] {
    const fd = this.#open();
    let end = 0;
    return buffers.map((buffer) => {
      const offset = end;
      writeSync(fd, buffer, 0, buffer.length, offset);
      end += aligned(buffer.length);
      return offset;
    });
  }

  /** @returns a copy */
  read(offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    readSync(this.#open(), buffer, 0, length, offset);
    return buffer;
  }

  /**
   * Takes the region back from the server, and frees its memory.
   * @throws ServiceError while the server is using it, or cannot be reached; then nothing has happened
   */
  async release(channel: Channel): Promise<void> {
    await channel.call('SystemSharedMemoryUnregister', { name: this.name }, CONTROL);
    this.free();
  }

  /** Frees our side alone: the memory is there until the server lets it go as well. */
  free(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** The number of a closed file may be another file's by now. */
  #open(): number {
    if (this.#fd === undefined) throw new TransportError(status.CANCELLED, 'the shared memory was given back');
    return this.#fd;
  }
}

/** @returns the next multiple of a cache line */
export function aligned(length: number): number {
  return Math.ceil(length / 64) * 64;
}

/** Gives back the regions of workers on this host that have died, and the files of those that died while making one. */
export async function reclaimRegions(channel: Channel): Promise<void> {
  const { regions } = await channel.call('SystemSharedMemoryStatus', { name: '' }, CONTROL);
  for (const name of Object.keys(regions).filter(isOrphan)) {
    await channel.call('SystemSharedMemoryUnregister', { name }, CONTROL);
  }
  for (const name of readdirSync(DIRECTORY).filter(isOrphan)) unlinkSync(`${DIRECTORY}/${name}`);
}

function isOrphan(name: string): boolean {
  if (!name.startsWith(HOST) || name.startsWith(OWN)) return false;
  const pid = Number(name.slice(HOST.length).split('.')[0]);
  return pid === process.pid || !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
