/** Delivers a subscription's messages to its subscribers in turn, and calls `tick` when a lease or a pause ends. */
import type { ReceivedMessage } from '../../../src/adapters/pubsub/wire.js';
import type { Backlog, Holder } from './backlog.js';
import type { Refusal } from './refusal.js';

export interface Taker extends Holder {
  /** Whether its connection takes more at the moment. */
  readonly writable: boolean;
  give(messages: readonly ReceivedMessage[]): void;
  /** There is nothing more to come. */
  end(refusal: Refusal): void;
}

/** Clients accept answers of 20 MB, and one message may have 10 MB. */
const MOST_BATCH_BYTES = 4_000_000;
/** setTimeout takes no longer span. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Feed {
  readonly backlog: Backlog;
  readonly #now: () => number;
  readonly #takers: Taker[] = [];
  #timer: NodeJS.Timeout | undefined;
  #waking = false;

  constructor(backlog: Backlog, now: () => number) {
    this.backlog = backlog;
    this.#now = now;
  }

  join(taker: Taker): void {
    this.#takers.push(taker);
    this.wake();
  }

  /** What it holds stays leased: like the service, the server delivers it again only when the leases have ended. */
  leave(taker: Taker): void {
    const index = this.#takers.indexOf(taker);
    if (index >= 0) this.#takers.splice(index, 1);
  }

  /** Call it after every change: it delivers what can be delivered. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    queueMicrotask(() => {
      this.#waking = false;
      this.#serve();
    });
  }

  close(refusal: Refusal): void {
    clearTimeout(this.#timer);
    for (const taker of this.#takers.splice(0)) taker.end(refusal);
  }

  #serve(): void {
    this.backlog.tick();
    const batches = new Map<Taker, { messages: ReceivedMessage[]; bytes: number }>();
    const flush = (taker: Taker) => {
      const messages = batches.get(taker)?.messages ?? [];
      batches.delete(taker);
      if (messages.length > 0) taker.give(messages);
    };
    for (let without = 0; without < this.#takers.length;) {
      const taker = this.#takers.shift();
      if (!taker) break;
      this.#takers.push(taker);
      const before = taker.held.bytes;
      const message = taker.writable ? this.backlog.take(taker) : undefined;
      without = message ? 0 : without + 1;
      if (!message) continue;
      const batch = batches.get(taker) ?? { messages: [], bytes: 0 };
      batches.set(taker, batch);
      batch.messages.push(message);
      batch.bytes += taker.held.bytes - before;
      if (batch.bytes >= MOST_BATCH_BYTES) flush(taker);
    }
    for (const taker of batches.keys()) flush(taker);
    this.#sleep();
  }

  #sleep(): void {
    clearTimeout(this.#timer);
    if (this.backlog.dueAt === Infinity) return;
    const ms = Math.min(Math.max(this.backlog.dueAt - this.#now(), 0), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#serve(), ms);
  }
}
