/** Looks at the messages of a subscription without taking them, and removes some of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { Delivery } from '../../domain/ports.js';
import { inRequests } from './ack-ids.js';
import type { PubSubChannel } from './channel.js';
import { codeOf } from './retrying.js';
import { toDelivery } from './source.js';

/** Messages in one answer. */
const MOST_MESSAGES = 100;
/** How long to wait for messages, in milliseconds. Google's service answers an empty subscription much later. */
const PULL_LIMIT_MS = 5_000;
/** Empty answers in a row after which there are no more. One alone says little, since the service is many servers. */
const EMPTY_ANSWERS = 2;
const PAUSE_MS = 200;
/** Lease during a look, when no other reader gets the messages. If the process dies, they come again after this time. */
const LEASE_SECONDS = 120;
const CALL_LIMIT_MS = 20_000;

export interface Reviewed {
  readonly delivery: Delivery;
  readonly ackId: string;
}

/**
 * Pulls up to `most` messages, lets `look` see them, and gives back all that it does not want removed. Meanwhile no other
 * reader gets them. The service does not promise that it shows all in one go.
 * @param look returns the messages to remove
 * @throws grpc-js's ServiceError; errors of `look`
 */
export async function review(
  channel: PubSubChannel,
  name: string,
  most: number,
  look: (messages: readonly Delivery[]) => Promise<readonly Delivery[]> | readonly Delivery[],
): Promise<void> {
  const subscription = channel.subscription(name);
  const held = new Map<string, Reviewed>();
  try {
    await pullAll(channel, subscription, most, held);
    const removed = await look([...held.values()].map(({ delivery }) => delivery));
    const ackIds = removed.flatMap(({ messageId }) => held.get(messageId)?.ackId ?? []);
    for (const some of inRequests(ackIds)) {
      await channel.call('Acknowledge', { subscription, ackIds: some }, CALL_LIMIT_MS);
    }
    for (const { messageId } of removed) held.delete(messageId);
  } finally {
    for (const some of inRequests([...held.values()].map(({ ackId }) => ackId))) {
      const back = { subscription, ackIds: some, ackDeadlineSeconds: 0 };
      await channel.call('ModifyAckDeadline', back, CALL_LIMIT_MS).catch(() => undefined);
    }
  }
}

async function pullAll(
  channel: PubSubChannel,
  subscription: string,
  most: number,
  held: Map<string, Reviewed>,
): Promise<void> {
  for (let empty = 0; empty < EMPTY_ANSWERS && held.size < most;) {
    const messages = await pull(channel, subscription, Math.min(MOST_MESSAGES, most - held.size));
    const fresh = messages.filter(({ delivery }) => !held.has(delivery.messageId));
    for (const one of messages) held.set(one.delivery.messageId, one);
    if (messages.length > 0) {
      const lease = { subscription, ackIds: messages.map(({ ackId }) => ackId), ackDeadlineSeconds: LEASE_SECONDS };
      await channel.call('ModifyAckDeadline', lease, CALL_LIMIT_MS);
    }
    empty = fresh.length > 0 ? 0 : empty + 1;
    if (fresh.length === 0) await sleep(PAUSE_MS);
  }
}

async function pull(channel: PubSubChannel, subscription: string, maxMessages: number): Promise<Reviewed[]> {
  try {
    // The emulator may hand messages to a call that has been given up, so there the call does not wait.
    const request = { subscription, maxMessages, returnImmediately: channel.isEmulator };
    const { receivedMessages } = await channel.call('Pull', request, PULL_LIMIT_MS);
    return receivedMessages.flatMap(({ ackId, message, deliveryAttempt }) =>
      message ? [{ ackId, delivery: toDelivery(message, deliveryAttempt) }] : [],
    );
  } catch (thrown) {
    if (codeOf(thrown) === status.DEADLINE_EXCEEDED) return [];
    throw thrown;
  }
}
