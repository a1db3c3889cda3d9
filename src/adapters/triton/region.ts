/**
 * A piece of memory shared with Triton, without native code: a file in /dev/shm, which the server maps when the region is
 * registered. The worker unlinks the file as soon as the server has mapped it, so that a dead worker leaves no file behind.
 */
import { closeSync, fchmodSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { acquirePixels } from '../../domain/pixel-memory.js';
import type { CallOptions, Channel } from './channel.js';
import { isCallFailure, TransportError } from './errors.js';
import { DIRECTORY, isOrphan, nameOwn, orphanFiles } from './region-names.js';

const ZEROS = Buffer.alloc(1024 * 1024);
/** These calls take milliseconds. A call that is given up halfway would leave a region behind. */
const CONTROL: CallOptions = { signal: new AbortController().signal, deadlineMs: 2_000 };

/** What is wrong, and how to fix it. */
const NOT_SHARED =
  'the server does not share memory with this host; expected one /dev/shm in both containers, and a server that does not ' +
  'restrict shared-memory (TRITON_RESTRICTED; from 2.68 on it also needs --allow-client-shm=true)';

/** Belongs to one request at a time, for its inputs and its output. */
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
   * @returns undefined if /dev/shm is full
   * @throws TransportError FAILED_PRECONDITION if the server does not share memory with this worker, or the system provides
   *   none; ServiceError if the server cannot be reached
   */
  static async create(channel: Channel, bytes: number): Promise<Region | undefined> {
    const name = nameOwn();
    const file = `${DIRECTORY}/${name}`;
    const fd = open(file);
    try {
      fchmodSync(fd, 0o660); // the server may run as another user of the same group
      // Write the file, instead of only setting its size. If memory is short, this fails here, and not as a bus error in the
      // server.
      for (let offset = 0; offset < bytes; offset += ZEROS.length) {
        writeAll(fd, ZEROS.subarray(0, Math.min(ZEROS.length, bytes - offset)), offset);
      }
      await channel.call('SystemSharedMemoryRegister', { name, key: `/${name}`, offset: 0, byteSize: bytes }, CONTROL);
      return new Region(name, bytes, fd);
    } catch (error) {
      closeSync(fd);
      if (isFull(error)) return undefined;
      if (!isCallFailure(error)) throw refused(error);
      if (error.code !== status.UNAVAILABLE || error.details.includes('restricted')) {
        if (error.code === status.DEADLINE_EXCEEDED) throw error;
        throw new TransportError(status.FAILED_PRECONDITION, `${NOT_SHARED}: ${error.details}`, { cause: error });
      }
      throw error;
    } finally {
      unlinkSync(file);
    }
  }

  /**
   * Writes the buffers one after another, aligned.
   * @returns the offset of each
   * @throws an error of the file system
   */
  write(buffers: readonly Buffer[]): number[] {
    const fd = this.#open();
    let end = 0;
    return buffers.map((buffer) => {
      const offset = end;
      writeAll(fd, buffer, offset);
      end += aligned(buffer.length);
      return offset;
    });
  }

  /** @returns a copy */
  read(offset: number, length: number): Buffer {
    const buffer = acquirePixels(length);
    for (let done = 0; done < length;) {
      const count = readSync(this.#open(), buffer, done, length - done, offset + done);
      if (count === 0)
        throw new TransportError(status.DATA_LOSS, `expected ${length} bytes in ${this.name}, given ${done}`);
      done += count;
    }
    return buffer;
  }

  /**
   * Unregisters the region at the server and frees its memory.
   * @throws ServiceError while the server is using it or cannot be reached; then nothing has changed
   */
  async release(channel: Channel): Promise<void> {
    try {
      await channel.call('SystemSharedMemoryUnregister', { name: this.name }, CONTROL);
    } catch (error) {
      // A server that permits no shared memory has taken the place of the one that knew the region.
      if (!isCallFailure(error) || error.code !== status.UNIMPLEMENTED) throw error;
    }
    this.free();
  }

  /** Frees only the worker's side. The memory remains until the server frees it too. */
  free(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Checks that the file is open, since the number of a closed file may already belong to another file. */
  #open(): number {
    if (this.#fd === undefined) throw new TransportError(status.CANCELLED, 'the shared memory was given back');
    return this.#fd;
  }
}

/** @returns the next multiple of a cache line */
export function aligned(length: number): number {
  return Math.ceil(length / 64) * 64;
}

/** Releases the regions of dead workers on this host, and the files of workers that died while creating a region. */
export async function reclaimRegions(channel: Channel): Promise<void> {
  const { regions } = await channel.call('SystemSharedMemoryStatus', { name: '' }, CONTROL);
  for (const name of Object.keys(regions).filter(isOrphan)) {
    await channel.call('SystemSharedMemoryUnregister', { name }, CONTROL);
  }
  for (const file of orphanFiles()) unlinkSync(file);
}

/**
 * Writes the whole buffer. Near the limit of a file system, one call writes only a part and reports that only in its result.
 */
export function writeAll(fd: number, buffer: Buffer, position: number, write: typeof writeSync = writeSync): void {
  for (let done = 0; done < buffer.length;) {
    done += write(fd, buffer, done, buffer.length - done, position + done);
  }
}

/**
 * Whether the file system is full, by its own limit or by the memory limit of the container that its files count towards.
 */
export function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'ENOMEM');
}

function open(file: string): number {
  try {
    return openSync(file, 'wx+');
  } catch (error) {
    throw refused(error);
  }
}

function refused(error: unknown): TransportError {
  const reason = `${DIRECTORY} cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  return new TransportError(status.FAILED_PRECONDITION, reason, { cause: error });
}
