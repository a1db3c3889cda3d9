/** How messages leave: Pull, StreamingPull, and what subscribers answer. */
import type { EventEmitter } from 'node:events';
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import type * as wire from '../../../src/adapters/pubsub/wire.js';
import type { Broker } from './broker.js';
import type { Feed, Taker } from './feed.js';
import { invalid, type Refusal } from './refusal.js';

interface PullResponse {
  readonly receivedMessages: readonly wire.ReceivedMessage[];
}

export interface AckRequest {
  readonly subscription: string;
  readonly ackIds: readonly string[];
}

export interface ModifyRequest extends AckRequest {
  readonly ackDeadlineSeconds: number;
}

interface StreamRequest extends Required<wire.StreamingPullRequest> {
  readonly ackIds: readonly string[];
  readonly modifyDeadlineAckIds: readonly string[];
  readonly modifyDeadlineSeconds: readonly number[];
}

interface StreamResponse extends PullResponse {
  readonly subscriptionProperties: { readonly messageOrderingEnabled: boolean };
}

type Stream = ServerDuplexStream<StreamRequest, StreamResponse>;
type Modification = readonly [ackId: string, seconds: number];

/** A pull for which there is no message is answered after so long, with none. */
const PULL_WAIT_MS = 60_000;
const LONGEST_LEASE_SECONDS = 600;
const ACK_ID = /^ack-\d+$/;

/** Takes what there is; where there is nothing it waits for the next message. @param call what emits `cancelled` */
export function pull(broker: Broker, request: wire.PullRequest, call: EventEmitter): Promise<PullResponse> {
  const { subscription, maxMessages, returnImmediately } = request;
  if (maxMessages <= 0) throw invalid('max_messages must be greater than 0.');
  const feed = broker.feed(subscription);
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer);
      feed.leave(taker);
    };
    const answer = (receivedMessages: readonly wire.ReceivedMessage[]) => {
      leave();
      resolve({ receivedMessages });
    };
    const taker: Taker = {
      leaseMs: broker.settings(subscription).ackDeadlineSeconds * 1000,
      ...{ mostMessages: maxMessages, mostBytes: Infinity, held: { messages: 0, bytes: 0 }, writable: true },
      give: answer,
      end: (refusal) => {
        leave();
        reject(refusal);
      },
    };
    const timer = setTimeout(() => answer([]), PULL_WAIT_MS);
    call.on('cancelled', leave);
    feed.join(taker);
    // After the feed has given what there is.
    if (returnImmediately) queueMicrotask(() => answer([]));
  });
}

export const streamingPull =
  (broker: Broker): handleBidiStreamingCall<StreamRequest, StreamResponse> =>
  (call) => {
    let opened: ReturnType<typeof open> | undefined;
    let ended = false;
    const leave = () => {
      ended = true;
      opened?.feed.leave(opened.taker);
    };
    const fail = (refusal: Refusal) => {
      leave();
      call.emit('error', refusal);
    };
    call.on('data', (request: StreamRequest) => {
      if (ended) return;
      try {
        if (opened) adjust(opened.taker, request);
        else opened = open(broker, call, request, fail);
        const { ackIds, modifyDeadlineAckIds: ids, modifyDeadlineSeconds: seconds } = request;
        if (ids.length !== seconds.length) throw invalid('modify_deadline_seconds needs a value for each ack id.');
        settle(
          opened.feed,
          ackIds,
          ids.map((ackId, i) => [ackId, seconds[i] ?? 0]),
        );
      } catch (error) {
        fail(error as Refusal);
      }
    });
    call.on('end', () => {
      leave();
      call.end();
    });
    call.on('cancelled', leave);
  };

function open(broker: Broker, call: Stream, request: StreamRequest, fail: (refusal: Refusal) => void) {
  const { subscription, streamAckDeadlineSeconds, maxOutstandingMessages, maxOutstandingBytes } = request;
  if (subscription === '') throw invalid('The first request of a stream must name the subscription.');
  checkLease(streamAckDeadlineSeconds, 10);
  const feed = broker.feed(subscription);
  const { enableMessageOrdering: messageOrderingEnabled } = broker.settings(subscription);
  const taker = {
    leaseMs: streamAckDeadlineSeconds * 1000,
    mostMessages: maxOutstandingMessages > 0 ? maxOutstandingMessages : Infinity,
    mostBytes: maxOutstandingBytes > 0 ? maxOutstandingBytes : Infinity,
    ...{ held: { messages: 0, bytes: 0 }, writable: true },
    give(receivedMessages: readonly wire.ReceivedMessage[]) {
      taker.writable = call.write({ receivedMessages, subscriptionProperties: { messageOrderingEnabled } });
    },
    end: fail,
  };
  call.on('drain', () => {
    taker.writable = true;
    feed.wake();
  });
  feed.join(taker);
  return { feed, taker };
}

/** Requests after the first may change the length of later leases, and nothing else of the stream. */
function adjust(taker: { leaseMs: number }, request: StreamRequest): void {
  if (request.subscription !== '' || request.maxOutstandingMessages !== 0 || request.maxOutstandingBytes !== 0) {
    throw invalid('Only the first request of a stream may name the subscription and the limits of flow control.');
  }
  if (request.streamAckDeadlineSeconds === 0) return;
  checkLease(request.streamAckDeadlineSeconds, 10);
  taker.leaseMs = request.streamAckDeadlineSeconds * 1000;
}

export function acknowledge(broker: Broker, { subscription, ackIds }: AckRequest): void {
  const feed = broker.feed(subscription);
  if (ackIds.length === 0) throw invalid('No ack ids specified.');
  settle(feed, ackIds, []);
}

export function modifyAckDeadline(broker: Broker, { subscription, ackIds, ackDeadlineSeconds }: ModifyRequest): void {
  const feed = broker.feed(subscription);
  if (ackIds.length === 0) throw invalid('No ack ids specified.');
  settle(
    feed,
    [],
    ackIds.map((ackId) => [ackId, ackDeadlineSeconds]),
  );
}

function settle(feed: Feed, ackIds: readonly string[], modifications: readonly Modification[]): void {
  for (const ackId of [...ackIds, ...modifications.map(([id]) => id)]) {
    if (!ACK_ID.test(ackId)) throw invalid(`You have passed an invalid ack ID to the service (ack_id=${ackId}).`);
  }
  for (const [, seconds] of modifications) checkLease(seconds, 0);
  feed.backlog.ack(ackIds);
  for (const [ackId, seconds] of modifications) feed.backlog.modify(ackId, seconds);
  feed.wake();
}

function checkLease(seconds: number, least: number): void {
  if (seconds >= least && seconds <= LONGEST_LEASE_SECONDS) return;
  throw invalid(`An ack deadline must be ${least} to ${LONGEST_LEASE_SECONDS} seconds, not ${seconds}.`);
}
