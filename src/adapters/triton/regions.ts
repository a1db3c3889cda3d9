/**
 * Memory shared with Triton, without native code: a file in /dev/shm, which the server maps when it is registered. The
 * file's name goes as soon as the server has it mapped, so that a worker that dies leaves none behind.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, openSync, readdirSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { status } from '@grpc/grpc-js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure, TransportError } from './errors.js';

const DIRECTORY = '/dev/shm';
const PREFIX = `imagen.${hostname()}.`;
const OWN_PREFIX = `${PREFIX}${process.pid}.`;
const ZEROS = Buffer.alloc(1024 * 1024);

const MIN_BYTES = 64 * 1024;
/** All regions of a worker together; what does not fit travels in the message. */
const MAX_TOTAL_BYTES = 512 * 1024 * 1024;
/** How long to wait before asking again whether the server has finished with a region. */
const RETIRE_EVERY_MS = 1_000;
/** These calls take milliseconds, and one that is given up half-way would leave a region behind. */
const CONTROL: CallOptions = { signal: new AbortController().signal, deadlineMs: 2_000 };

/** One request at a time has it, for its inputs and its output. */
export interface Region {
  readonly name: string;
  readonly bytes: number;
  readonly fd: number;
}

export class RegionPool {
  readonly #channel: Channel;
  readonly #all = new Set<Region>();
  #idle: Region[] = [];
  #bytes = 0;
  #closed = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /**
   * A region of at least so many bytes, an idle one or a new one.
   * @returns undefined when there is no memory left for it
   * @throws TransportError FAILED_PRECONDITION when the server does not share memory with us, else ServiceError
   */
  async take(bytes: number): Promise<Region | undefined> {
    const fitting = this.#idle.filter((region) => region.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) {
      this.#idle = this.#idle.filter((region) => region !== fitting);
      return fitting;
    }
    const size = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    while (this.#bytes + size > MAX_TOTAL_BYTES) {
      const victim = this.#idle.shift();
      if (!victim) return undefined;
      this.retire(victim);
    }
    this.#bytes += size;
    try {
      const region = await createRegion(this.#channel, size);
      if (region) this.#all.add(region);
      else this.#bytes -= size;
      return region;
    } catch (error) {
      this.#bytes -= size;
      throw error;
    }
  }

  /** For a region with which the server has finished. */
  give(region: Region): void {
    if (this.#all.has(region)) this.#idle.push(region);
  }

  /** For a region that the server may still be using: its memory is given back when the server says that it is not. */
  retire(region: Region): void {
    this.#channel
      .call('SystemSharedMemoryUnregister', { name: region.name }, CONTROL)
      .then(
        () => this.#drop(region),
        () => {
          // In use (or the server is away, and will have forgotten the region when it is back).
          if (!this.#closed) setTimeout(() => this.retire(region), RETIRE_EVERY_MS).unref();
        },
      );
  }

  /** The server has been restarted and knows no region of ours any more. */
  forget(): void {
    for (const region of this.#idle) this.#drop(region);
    this.#idle = [];
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(
      [...this.#all].map(async (region) => {
        this.#drop(region);
        await this.#channel.call('SystemSharedMemoryUnregister', { name: region.name }, CONTROL);
      }),
    );
  }

  #drop(region: Region): void {
    if (!this.#all.delete(region)) return;
    this.#bytes -= region.bytes;
    closeSync(region.fd);
  }
}

/** Regions and files of workers on this host that have died. */
export async function reclaimRegions(channel: Channel): Promise<void> {
  const isOrphan = (name: string) => {
    if (!name.startsWith(PREFIX)) return false;
    const pid = Number(name.slice(PREFIX.length).split('.')[0]);
    return pid !== process.pid && !isAlive(pid);
  };
  const { regions } = await channel.call('SystemSharedMemoryStatus', { name: '' }, CONTROL);
  for (const name of Object.keys(regions).filter(isOrphan)) {
    await channel.call('SystemSharedMemoryUnregister', { name }, CONTROL);
  }
  for (const name of readdirSync(DIRECTORY).filter(isOrphan)) unlinkSync(`${DIRECTORY}/${name}`);
}

/**
 * Whether the server sees our /dev/shm.
 * @throws ServiceError when the server cannot be reached
 */
export async function sharesMemory(channel: Channel): Promise<boolean> {
  try {
    const region = await createRegion(channel, MIN_BYTES);
    if (!region) return false;
    closeSync(region.fd);
    await channel.call('SystemSharedMemoryUnregister', { name: region.name }, CONTROL);
    return true;
  } catch (error) {
    // The server's refusal, or the system's: no /dev/shm, or not for us.
    if (!isCallFailure(error) || error.code === status.FAILED_PRECONDITION) return false;
    throw error;
  }
}

/** Puts the buffers into the region one after another, aligned. @returns where each of them begins */
export function writeRegion(region: Region, buffers: readonly Buffer[]): number[] {
  let end = 0;
  return buffers.map((buffer) => {
    const offset = end;
    writeSync(region.fd, buffer, 0, buffer.length, offset);
    end += aligned(buffer.length);
    return offset;
  });
}

export function readRegion(region: Region, offset: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  readSync(region.fd, buffer, 0, length, offset);
  return buffer;
}

/** @returns the next multiple of a cache line */
export function aligned(length: number): number {
  return Math.ceil(length / 64) * 64;
}

/** @returns undefined when /dev/shm is full */
async function createRegion(channel: Channel, bytes: number): Promise<Region | undefined> {
  const name = `${OWN_PREFIX}${randomBytes(6).toString('hex')}`;
  const file = `${DIRECTORY}/${name}`;
  const fd = openSync(file, 'wx+');
  try {
    fchmodSync(fd, 0o660); // the server may run as another user of the same group
    // Written, not only sized: where memory has run out, this fails here, and not as a bus error in the server.
    for (let offset = 0; offset < bytes; offset += ZEROS.length) {
      writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, bytes - offset), offset);
    }
    const region = { name, key: `/${name}`, offset: 0, byteSize: bytes };
    await channel.call('SystemSharedMemoryRegister', region, CONTROL);
    return { name, bytes, fd };
  } catch (error) {
    closeSync(fd);
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return undefined;
    if (!isCallFailure(error) || error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) {
      throw error;
    }
    throw new TransportError(
      status.FAILED_PRECONDITION,
      `the server does not share memory with this host: ${error.details}`,
    );
  } finally {
    unlinkSync(file);
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
