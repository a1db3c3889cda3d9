/**
 * The messages of one subscription: which wait, which are leased, and which pause before their next delivery. It has no
 * timers and no network: the time comes from outside, and `tick` does what is due.
 */
import type { PubsubMessage, ReceivedMessage } from '../../../src/adapters/pubsub/wire.js';

/** What of a subscription's settings concerns its deliveries. */
export interface Policies {
  readonly ordered: boolean;
  /** Pause before a redelivery, in milliseconds: doubled from `least` with each delivery, up to `most`. */
  readonly backoffMs?: { readonly least: number; readonly most: number } | undefined;
  /** Deliveries after which a message is a dead letter. Without it they are not counted for subscribers. */
  readonly mostAttempts?: number | undefined;
}

/** One who takes messages, and how much it may hold. A message counts until it is acked, nacked or its lease ends. */
export interface Holder {
  readonly leaseMs: number;
  readonly mostMessages: number;
  /** No more is given to one who holds so many bytes or more; the last message may exceed it. */
  readonly mostBytes: number;
  readonly held: { messages: number; bytes: number };
}

interface Entry {
  readonly message: PubsubMessage;
  readonly bytes: number;
  /** Deliveries so far. */
  attempts: number;
}

interface Lease {
  readonly entry: Entry;
  readonly holder: Holder;
  endsAt: number;
}

export class Backlog {
  policies: Policies;
  readonly #now: () => number;
  readonly #deadLetter: (message: PubsubMessage, attempts: number) => boolean;
  /** In the order in which they are to be delivered. */
  readonly #ready = new Set<Entry>();
  readonly #paused = new Map<Entry, number>();
  readonly #leases = new Map<string, Lease>();
  /** For each ordering key the messages behind the one that is ready, paused or leased. */
  readonly #behind = new Map<string, Entry[]>();
  #lastAckId = 0;
  #dueAt = Infinity;

  /**
   * @param now milliseconds of a clock
   * @param deadLetter publishes a dead letter; false if that is impossible, and the message goes on being delivered
   */
  constructor(
    policies: Policies,
    now: () => number,
    deadLetter: (message: PubsubMessage, attempts: number) => boolean,
  ) {
    this.policies = policies;
    this.#now = now;
    this.#deadLetter = deadLetter;
  }

  /** When `tick` has something to do at the earliest. */
  get dueAt(): number {
    return this.#dueAt;
  }

  add(message: PubsubMessage, bytes: number): void {
    const entry: Entry = { message, bytes, attempts: 0 };
    const lane = this.#laneOf(entry);
    const behind = this.#behind.get(lane);
    if (behind) {
      behind.push(entry);
      return;
    }
    if (lane !== '') this.#behind.set(lane, []);
    this.#ready.add(entry);
  }

  /** Leases the next message to the holder. @returns undefined if there is none, or the holder has no room */
  take(holder: Holder): ReceivedMessage | undefined {
    const [entry] = this.#ready;
    if (!entry || holder.held.messages >= holder.mostMessages || holder.held.bytes >= holder.mostBytes)
      return undefined;
    this.#ready.delete(entry);
    entry.attempts++;
    holder.held.messages++;
    holder.held.bytes += entry.bytes;
    const ackId = `ack-${++this.#lastAckId}`;
    const lease = { entry, holder, endsAt: this.#now() + holder.leaseMs };
    this.#leases.set(ackId, lease);
    this.#dueAt = Math.min(this.#dueAt, lease.endsAt);
    const deliveryAttempt = this.policies.mostAttempts === undefined ? 0 : entry.attempts;
    return { ackId, message: entry.message, deliveryAttempt };
  }

  /** Ack ids whose lease has ended have no effect: the message is delivered again. */
  ack(ackIds: readonly string[]): void {
    for (const ackId of ackIds) {
      const lease = this.#release(ackId);
      if (lease) this.#leave(lease.entry);
    }
  }

  /** @param seconds length of the lease from now; 0 gives the message back */
  modify(ackId: string, seconds: number): void {
    if (seconds === 0) {
      const lease = this.#release(ackId);
      if (lease) this.#again(lease.entry);
      return;
    }
    const lease = this.#leases.get(ackId);
    if (!lease) return;
    lease.endsAt = this.#now() + seconds * 1000;
    this.#dueAt = Math.min(this.#dueAt, lease.endsAt);
  }

  /** Ends leases and pauses whose time has come. */
  tick(): void {
    const now = this.#now();
    if (now < this.#dueAt) return;
    this.#dueAt = Infinity;
    for (const [entry, endsAt] of this.#paused) {
      if (endsAt > now) continue;
      this.#paused.delete(entry);
      this.#ready.add(entry);
    }
    for (const [ackId, { entry, endsAt }] of this.#leases) {
      if (endsAt > now) continue;
      this.#release(ackId);
      this.#again(entry);
    }
    const due = [...this.#paused.values(), ...[...this.#leases.values()].map(({ endsAt }) => endsAt)];
    this.#dueAt = due.reduce((earliest, at) => Math.min(earliest, at), this.#dueAt);
  }

  #release(ackId: string): Lease | undefined {
    const lease = this.#leases.get(ackId);
    if (!lease) return undefined;
    this.#leases.delete(ackId);
    lease.holder.held.messages--;
    lease.holder.held.bytes -= lease.entry.bytes;
    return lease;
  }

  /** After a nack and after the end of a lease alike. */
  #again(entry: Entry): void {
    const { mostAttempts = Infinity, backoffMs } = this.policies;
    if (entry.attempts >= mostAttempts && this.#deadLetter(entry.message, entry.attempts)) {
      this.#leave(entry);
      return;
    }
    const pauseMs = backoffMs ? Math.min(backoffMs.most, backoffMs.least * 2 ** (entry.attempts - 1)) : 0;
    if (pauseMs === 0) {
      this.#ready.add(entry);
      return;
    }
    const endsAt = this.#now() + pauseMs;
    this.#paused.set(entry, endsAt);
    this.#dueAt = Math.min(this.#dueAt, endsAt);
  }

  /** Makes the next message of its ordering key deliverable. */
  #leave(entry: Entry): void {
    const lane = this.#laneOf(entry);
    const next = this.#behind.get(lane)?.shift();
    if (next) this.#ready.add(next);
    else this.#behind.delete(lane);
  }

  #laneOf({ message }: Entry): string {
    return this.policies.ordered ? message.orderingKey : '';
  }
}
