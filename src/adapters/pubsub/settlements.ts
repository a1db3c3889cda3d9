/** Sends the acks and nacks of one subscription, many in a request. */
import type { Settlement } from '../../domain/ports.js';
import { inRequests } from './ack-ids.js';
import type { PubSubChannel } from './channel.js';
import { untilAnswered } from './retrying.js';

/** How long an ack waits for others, in milliseconds. If the worker is killed in between, the message comes again. */
const GATHER_MS = 50;
/**
 * How long to retry a settlement, in milliseconds. After that the lease has expired, and the message is delivered
 * again.
 */
const LIMIT_MS = 60_000;

export interface SettlementsOptions {
  /** Whole name, `projects/P/subscriptions/NAME`. */
  readonly subscription: string;
  /** Receives the error of settlements that are given up. Their messages come again. */
  readonly onError: (error: unknown) => void;
}

export class Settlements {
  readonly #channel: PubSubChannel;
  readonly #options: SettlementsOptions;
  readonly #gathered: Record<Settlement, string[]> = { ack: [], nack: [] };
  readonly #sending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(channel: PubSubChannel, options: SettlementsOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  add(settlement: Settlement, ackId: string): void {
    this.#gathered[settlement].push(ackId);
    this.#timer ??= setTimeout(() => this.#sendAll(), GATHER_MS);
  }

  /** Sends what has gathered, and resolves when all has been sent or given up. */
  async flush(): Promise<void> {
    this.#sendAll();
    await Promise.all(this.#sending);
  }

  #sendAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const settlement of ['ack', 'nack'] as const) {
      for (const ackIds of inRequests(this.#gathered[settlement].splice(0))) {
        const sending = this.#send(settlement, ackIds).finally(() => this.#sending.delete(sending));
        this.#sending.add(sending);
      }
    }
  }

  async #send(settlement: Settlement, ackIds: readonly string[]): Promise<void> {
    const { subscription, onError } = this.#options;
    const send = (limitMs: number) =>
      settlement === 'ack'
        ? this.#channel.call('Acknowledge', { subscription, ackIds }, limitMs)
        : // A lease of no length: the message may go to another worker.
          this.#channel.call('ModifyAckDeadline', { subscription, ackIds, ackDeadlineSeconds: 0 }, limitMs);
    try {
      await untilAnswered(send, performance.now() + LIMIT_MS);
    } catch (error) {
      onError(error);
    }
  }
}
