/** The regions of one connection, kept for later requests: making one costs more than many small inferences. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from './channel.js';
import { Region } from './region.js';

export const MIN_BYTES = 64 * 1024;
/** All regions of a connection together; what does not fit travels in the message. */
const MAX_TOTAL_BYTES = 512 * 1024 * 1024;
/** Pause before asking again whether the server has finished with a region. */
const RETIRE_EVERY_MS = 200;
/** How long closing waits for the server to finish with what was under way. */
const CLOSE_MS = 2_000;

export class RegionPool {
  readonly #channel: Channel;
  readonly #maxTotalBytes: number;
  readonly #all = new Set<Region>();
  #idle: Region[] = [];
  #bytes = 0;
  #closed = false;

  constructor(channel: Channel, maxTotalBytes = MAX_TOTAL_BYTES) {
    this.#channel = channel;
    this.#maxTotalBytes = maxTotalBytes;
  }

  /**
   * A region of at least so many bytes, the smallest idle one or a new one.
   * @returns undefined when there is no memory left for it
   * @throws as `Region.create`
   */
  async take(bytes: number): Promise<Region | undefined> {
    const fitting = this.#idle.filter((region) => region.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) {
      this.#idle = this.#idle.filter((region) => region !== fitting);
      return fitting;
    }
    const size = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    // One that will never fit must not cost the others theirs.
    if (size > this.#maxTotalBytes) return undefined;
    while (this.#bytes + size > this.#maxTotalBytes) {
      const victim = this.#idle.shift();
      if (!victim) return undefined;
      await this.retire(victim);
    }
    this.#bytes += size;
    let region: Region | undefined;
    try {
      region = await Region.create(this.#channel, size);
      if (region) this.#all.add(region);
      return region;
    } finally {
      if (!region) this.#bytes -= size;
    }
  }

  /** For a region with which the server has finished. */
  give(region: Region): void {
    if (this.#all.has(region)) this.#idle.push(region);
  }

  /**
   * For a region that the server may still be using: its memory is freed when the server says that it is not. Settles
   * after the first attempt.
   */
  async retire(region: Region): Promise<void> {
    try {
      await region.release(this.#channel);
      this.#forgetOne(region);
    } catch {
      // In use; or the server is away, and will not know the region when it is back, which is as good.
      if (!this.#closed) setTimeout(() => void this.retire(region), RETIRE_EVERY_MS).unref();
    }
  }

  /** The server has been started anew, and knows no region of ours. */
  forget(): void {
    for (const region of this.#idle) this.#forgetOne(region);
    this.#idle = [];
  }

  /** Expects that inferences under way have been cancelled. */
  async close(): Promise<void> {
    this.#closed = true;
    const deadline = Date.now() + CLOSE_MS;
    while (this.#all.size > 0 && Date.now() < deadline) {
      await Promise.all([...this.#all].map((region) => this.retire(region)));
      if (this.#all.size > 0) await sleep(RETIRE_EVERY_MS);
    }
    // What the server still uses stays registered there, until a later worker of this host reclaims it.
    for (const region of [...this.#all]) this.#forgetOne(region);
  }

  #forgetOne(region: Region): void {
    region.free();
    if (this.#all.delete(region)) this.#bytes -= region.bytes;
  }
}
