/**
 * Leases of the messages in work. A message whose lease expires goes to another worker. If the service has not confirmed an
 * extension for longer than a lease, the lease has expired, even if the worker still holds the message.
 */
import { inRequests } from './ack-ids.js';
import type { PubSubChannel } from './channel.js';

export interface LeaseEvents {
  /** The service has confirmed an extension for a message in work. */
  readonly extended?: (() => void) | undefined;
  /** The lease of a message in work has expired. Called once per message. */
  readonly lost?: (() => void) | undefined;
}

export interface LeaseOptions extends LeaseEvents {
  /** Whole name, `projects/P/subscriptions/NAME`. */
  readonly subscription: string;
  /** Length of the lease that a delivery and each extension give. */
  readonly seconds: number;
  /** How long the lease of one message is extended at most. */
  readonly longestSeconds: number;
  /** Receives the error when a round of extensions fails. The next round repeats it. */
  readonly onError?: (error: unknown) => void;
}

type Calls = Pick<PubSubChannel, 'call'>;

interface Lease {
  readonly begunAt: number;
  /** By `now`. */
  endsAt: number;
  /** Whether it has been extended. The message may have lain in buffers, so the first extension does not wait. */
  confirmed: boolean;
  lost: boolean;
}

/**
 * Rounds per lease. A lease is extended in the first round, and then when half of it is left or less, so two rounds may fail
 * before it is lost. Most jobs end before the first round and cost no extension at all.
 */
const ROUNDS_PER_LEASE = 5;

export class Leases {
  readonly #channel: Calls;
  readonly #options: LeaseOptions;
  readonly #now: () => number;
  readonly #leases = new Map<string, Lease>();
  #rounds: NodeJS.Timeout | undefined;
  #extending = false;

  /** @param now milliseconds on a monotonic clock */
  constructor(channel: Calls, options: LeaseOptions, now: () => number = () => performance.now()) {
    this.#channel = channel;
    this.#options = options;
    this.#now = now;
  }

  get size(): number {
    return this.#leases.size;
  }

  get #leaseMs(): number {
    return this.#options.seconds * 1000;
  }

  start(): void {
    this.#rounds = setInterval(() => void this.#extendDue(), this.#leaseMs / ROUNDS_PER_LEASE).unref();
  }

  /** Leases are extended no more. */
  stop(): void {
    clearInterval(this.#rounds);
  }

  /** A message has arrived. */
  begin(ackId: string): void {
    const now = this.#now();
    this.#leases.set(ackId, { begunAt: now, endsAt: now + this.#leaseMs, confirmed: false, lost: false });
  }

  /** The message has been acked or nacked. */
  end(ackId: string): void {
    const lease = this.#leases.get(ackId);
    if (lease) this.#lookAt(this.#now(), lease);
    this.#leases.delete(ackId);
  }

  /** One round at a time, so that a slow service gets no more requests than it answers. */
  async #extendDue(): Promise<void> {
    if (this.#extending) return;
    this.#extending = true;
    for (const ackIds of inRequests(this.#due())) await this.#extend(ackIds);
    this.#extending = false;
  }

  #due(): string[] {
    const now = this.#now();
    const { longestSeconds } = this.#options;
    return [...this.#leases]
      .filter(([, { confirmed, endsAt }]) => !confirmed || endsAt - now <= this.#leaseMs / 2)
      .filter(([, { begunAt }]) => now - begunAt < longestSeconds * 1000)
      .map(([ackId]) => ackId);
  }

  async #extend(ackIds: readonly string[]): Promise<void> {
    const { subscription, seconds, onError } = this.#options;
    const sentAt = this.#now();
    try {
      // After half a lease the next round is better than a late answer.
      await this.#channel.call(
        'ModifyAckDeadline',
        { subscription, ackIds, ackDeadlineSeconds: seconds },
        this.#leaseMs / 2,
      );
    } catch (error) {
      onError?.(error);
      return;
    }
    for (const ackId of ackIds) this.#extended(ackId, sentAt);
  }

  #extended(ackId: string, sentAt: number): void {
    const lease = this.#leases.get(ackId);
    if (!lease) return;
    this.#lookAt(sentAt, lease);
    lease.endsAt = sentAt + this.#leaseMs;
    lease.confirmed = true;
    this.#options.extended?.();
  }

  #lookAt(time: number, lease: Lease): void {
    if (lease.lost || time <= lease.endsAt) return;
    lease.lost = true;
    this.#options.lost?.();
  }
}
