/** The regions of one connection, kept for later requests: creating one costs more than many small inferences. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from './channel.js';
import { Region } from './region.js';

export const MIN_BYTES = 64 * 1024;
/** Limit for all regions of a connection together, in bytes. Other tensors travel in the message. */
export const MAX_TOTAL_BYTES = 512 * 1024 * 1024;
/** Pause before the next check whether the server has finished with a region. */
const RETIRE_EVERY_MS = 200;
/** How long closing waits for the server to finish the requests in flight. */
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
   * Returns a region of at least that many bytes: the smallest idle one that fits, or a new one.
   * @returns undefined if there is no memory left for it
   * @throws like `Region.create`
   */
  async take(bytes: number): Promise<Region | undefined> {
    const fitting = this.#idle.filter((region) => region.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) {
      this.#idle = this.#idle.filter((region) => region !== fitting);
      return fitting;
    }
    const size = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    // A request that can never fit must not evict the other regions.
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

  /** Returns a region that the server no longer uses. */
  give(region: Region): void {
    if (this.#all.has(region)) this.#idle.push(region);
  }

  /**
   * Retires a region that the server may still use. Its memory is freed when the server has finished with it. Resolves after
   * the first attempt.
   */
  async retire(region: Region): Promise<void> {
    try {
      await region.release(this.#channel);
      this.#forgetOne(region);
    } catch {
      // The region is in use, or the server is away. In the second case the server will not know the region when it is back,
      // so a later attempt succeeds.
      if (!this.#closed) setTimeout(() => void this.retire(region), RETIRE_EVERY_MS).unref();
    }
  }

  /** Forgets all idle regions, because the server has restarted and does not know them. */
  forget(): void {
    for (const region of this.#idle) this.#forgetOne(region);
    this.#idle = [];
  }

  /** The caller must have cancelled inferences in flight. */
  async close(): Promise<void> {
    this.#closed = true;
    const deadline = Date.now() + CLOSE_MS;
    while (this.#all.size > 0 && Date.now() < deadline) {
      await Promise.all([...this.#all].map((region) => this.retire(region)));
      if (this.#all.size > 0) await sleep(RETIRE_EVERY_MS);
    }
    // Regions that the server still uses stay registered until a later worker of this host reclaims them.
    for (const region of [...this.#all]) this.#forgetOne(region);
  }

  #forgetOne(region: Region): void {
    region.free();
    if (this.#all.delete(region)) this.#bytes -= region.bytes;
  }
}
