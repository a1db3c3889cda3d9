/** Pub/Sub's StreamingPull as one stream that is opened again whenever it ends. */
import { randomUUID } from 'node:crypto';
import { type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { PubSubChannel } from './channel.js';
import { codeOf, passes, pauseMs } from './retrying.js';
import type { ReceivedMessage, StreamingPullRequest, StreamingPullResponse } from './wire.js';

/** Pause between two empty requests, in milliseconds. The service closes a stream on which the client sends nothing. */
const KEEP_ALIVE_MS = 30_000;
/** A stream that lasted this long worked, even if it delivered nothing. In milliseconds. */
const GOOD_AFTER_MS = 10_000;
/** A refusal of the credentials is final if it comes again with new ones. */
const MOST_UNAUTHENTICATED = 3;

export interface MessageStreamOptions {
  /** Whole name, `projects/P/subscriptions/NAME`. */
  readonly subscription: string;
  /** Length of the lease that a delivery gives a message, in seconds. */
  readonly leaseSeconds: number;
  /**
   * The server sends no more messages while this many are neither settled nor expired. The emulator ignores it. The stream
   * reads them anyway: a message that waits in a buffer gets no extension, so it would expire and use up its attempts.
   */
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly onMessages: (messages: readonly ReceivedMessage[]) => void;
  /** The stream cannot be opened again: the subscription is gone, or may not be read. Called once. */
  readonly onBroken: (error: Error) => void;
}

export class MessageStream {
  readonly #channel: PubSubChannel;
  readonly #options: MessageStreamOptions;
  /** Tells the service which streams belong to this subscriber. */
  readonly #clientId = randomUUID();
  #stream: ClientDuplexStream<StreamingPullRequest, StreamingPullResponse> | undefined;
  #keepingAlive: NodeJS.Timeout | undefined;
  #reopening: NodeJS.Timeout | undefined;
  #failures = 0;
  #unauthenticated = 0;
  #stopped = false;

  constructor(channel: PubSubChannel, options: MessageStreamOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#keepingAlive = setInterval(() => this.#stream?.write({}), KEEP_ALIVE_MS).unref();
    this.#open();
  }

  /** After this no more messages come. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#keepingAlive);
    clearTimeout(this.#reopening);
    this.#stream?.cancel();
  }

  #open(): void {
    const { subscription, leaseSeconds, maxMessages, maxBytes, onMessages } = this.#options;
    const openedAt = performance.now();
    const stream = this.#channel.openStream({
      subscription,
      streamAckDeadlineSeconds: leaseSeconds,
      clientId: this.#clientId,
      maxOutstandingMessages: maxMessages,
      maxOutstandingBytes: maxBytes,
    });
    this.#stream = stream;
    stream.on('data', ({ receivedMessages }: StreamingPullResponse) => {
      if (this.#stopped) return;
      this.#worked();
      if (receivedMessages.length > 0) onMessages(receivedMessages);
    });
    let ended = false;
    const end = (error: unknown) => {
      if (ended) return;
      ended = true;
      if (performance.now() - openedAt >= GOOD_AFTER_MS) this.#worked();
      this.#ended(error);
    };
    stream.on('error', end);
    // A stream that the server ends without an error has only a status.
    stream.on('status', ({ code }: ServiceError) => {
      if (code === status.OK) end({ code });
    });
  }

  #worked(): void {
    this.#failures = 0;
    this.#unauthenticated = 0;
  }

  #ended(error: unknown): void {
    this.#stream = undefined;
    if (this.#stopped) return;
    const credentialsMayBeOld =
      codeOf(error) === status.UNAUTHENTICATED && ++this.#unauthenticated < MOST_UNAUTHENTICATED;
    if (!passes(error) && !credentialsMayBeOld) {
      this.stop();
      this.#options.onBroken(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#reopening = setTimeout(() => this.#open(), pauseMs(++this.#failures));
  }
}
