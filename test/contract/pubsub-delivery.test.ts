/**
 * Deliveries by Google's client, on Google's emulator and on the embedded Pub/Sub. The names of tests say where Google's
 * emulator (0.8.20) differs from the service's documentation, which the embedded one follows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import { status } from '@grpc/grpc-js';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { createPubSub } from '../../scripts/lab/google-clients.js';
import { codeOf, connect, type Fixture, type Received, textsOf } from '../support/pubsub-clients.js';
import { PUBSUBS } from '../support/pubsubs.js';
import { until } from '../support/scene.js';

// Most of them wait for the end of a lease.
vi.setConfig({ maxConcurrency: 40 });

const { INVALID_ARGUMENT, NOT_FOUND } = status;
const LEASE_MS = 10_000;
/** Clocks of two processes, and a poll. */
const SLACK_MS = 500;
/** Something that is not to happen has had its time. */
const QUIET_MS = 1_000;

const only = (messages: readonly Received[]): Received => {
  const [message, ...others] = messages;
  if (!message || others.length > 0) throw new Error(`expected one message, not ${messages.length}`);
  return message;
};
/** Nacks each delivery. @returns the deliveries, as many as came within the limit */
async function nackAll({ pull, extend }: Fixture, most: number): Promise<Received[]> {
  const all: Received[] = [];
  while (all.length < most) {
    const [message] = await pull(1, all.length === 0 ? 5_000 : 2_000);
    if (!message) break;
    all.push(message);
    await extend([message], 0);
  }
  return all;
}

describe.concurrent.each(PUBSUBS)('delivery on $name', ({ host, isGoogles }) => {
  const { publisher, subscriber, fresh, close } = connect(host);
  const opened: { cancel: () => void }[] = [];
  afterAll(async () => {
    for (const stream of opened) stream.cancel();
    await close();
  });

  it('lets a pull wait for a message, or answer at once', async () => {
    const { subscription, publish, ack } = await fresh();
    expect(await codeOf(subscriber.pull({ subscription, maxMessages: 0 }))).toBe(INVALID_ARGUMENT);
    const [{ receivedMessages: nothing }] = await subscriber.pull({
      ...{ subscription, maxMessages: 1, returnImmediately: true },
    });
    expect(nothing).toEqual([]);
    const waiting = subscriber.pull({ subscription, maxMessages: 10 });
    await publish('1');
    const [{ receivedMessages }] = await waiting;
    expect(receivedMessages).toHaveLength(1);
    await subscriber.acknowledge({ subscription, ackIds: [receivedMessages?.[0]?.ackId ?? ''] });
    expect(await codeOf(ack([]))).toBe(INVALID_ARGUMENT);
    expect(await codeOf(subscriber.acknowledge({ subscription, ackIds: ['nonsense'] }))).toBe(INVALID_ARGUMENT);
  });

  it('gives nothing to a pull that was given up', async () => {
    const { subscription, publish, pull } = await fresh();
    const given = subscriber.pull({ subscription, maxMessages: 1 }, { timeout: 500, retry: null });
    // Google's emulator knows the deadline, and tries to answer with nothing just before it.
    expect(isGoogles ? [status.OK, status.DEADLINE_EXCEEDED] : [status.DEADLINE_EXCEEDED]).toContain(
      await codeOf(given),
    );
    await publish('1');
    expect(textsOf(await pull(1, LEASE_MS / 2))).toEqual(['1']);
  });

  it('gives out again what was nacked, at once, and does not count it', async () => {
    const made = await fresh();
    await made.publish('1');
    const [first, second] = await nackAll(made, 2);
    expect([first?.attempt, second?.attempt]).toEqual([0, 0]);
    expect((second?.atMs ?? Infinity) - (first?.atMs ?? 0)).toBeLessThan(LEASE_MS / 2);
  });

  it('gives out again what was not acked when its lease has ended, and ignores the late ack', async () => {
    const { publish, pull, ack, extend } = await fresh();
    await publish('acked', 'extended', 'left');
    const messages = await pull(3);
    const [acked, extended, left] = ['acked', 'extended', 'left'].map((text) =>
      messages.filter((one) => one.text === text),
    );
    await ack(acked ?? []);
    await extend(extended ?? [], 30);
    const again = only(await pull());
    expect(again.text).toBe('left');
    expect(again.atMs - (left?.[0]?.askedMs ?? NaN)).toBeGreaterThan(LEASE_MS);
    await ack(left ?? []);
    expect(only(await pull()).text).toBe('left');
  });

  it(`pauses after a nack as the retry policy says${isGoogles ? ', but not the first time, and counts the attempts' : ''}`, async () => {
    const retryPolicy = { minimumBackoff: { seconds: 3 }, maximumBackoff: { seconds: 4 } };
    const { publish, pull, extend } = await fresh({ retryPolicy });
    await publish('1');
    const pauses: number[] = [];
    let message = only(await pull());
    for (let i = 0; i < 3; i++) {
      const nackedAt = message.atMs;
      await extend([message], 0);
      message = only(await pull());
      pauses.push(message.atMs - nackedAt);
    }
    const [first = 0, ...later] = pauses;
    if (isGoogles) expect(first).toBeLessThan(2_000);
    else expect(first).toBeGreaterThanOrEqual(3_000);
    // Google's emulator counts its pauses from the second redelivery, and varies them.
    for (const pause of later) expect(pause).toBeGreaterThanOrEqual(isGoogles ? 2_000 : 4_000);
    expect(message.attempt).toBe(isGoogles ? 4 : 0);
  });

  it(`pauses after the end of a lease ${isGoogles ? 'not at all the first time' : 'as the retry policy says'}`, async () => {
    const { publish, pull } = await fresh({ retryPolicy: { minimumBackoff: { seconds: 3 } } });
    await publish('1');
    const first = only(await pull());
    const again = only(await pull());
    if (isGoogles) expect(again.atMs - first.atMs - LEASE_MS).toBeLessThan(3_000 - SLACK_MS);
    else expect(again.atMs - first.askedMs - LEASE_MS).toBeGreaterThan(3_000);
  });

  it('does not forget what pauses after a nack when its stream ends', async () => {
    const retryPolicy = { minimumBackoff: { seconds: 2 } };
    const { subscription, publish, extend, stream } = await fresh({ retryPolicy });
    await publish('1');
    const first = { subscription, streamAckDeadlineSeconds: 10 };
    const taken = stream(first);
    for (const count of [1, 2]) {
      await until(() => taken.messages.length === count, 10_000);
      await extend(taken.messages.slice(-1), 0);
    }
    taken.cancel();
    const other = stream(first);
    opened.push(other);
    await until(() => other.messages.length === 1, 15_000);
  });

  it('makes a dead letter of what was delivered too often, and says where from', async () => {
    const letters = await fresh();
    const deadLetterPolicy = { deadLetterTopic: letters.topic, maxDeliveryAttempts: 5 };
    const made = await fresh();
    await made.update({ deadLetterPolicy }, 'dead_letter_policy');
    await made.publish({ data: Buffer.from('1'), attributes: { mine: 'yes' } });
    const before = Date.now();
    expect((await nackAll(made, 6)).map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
    const letter = only(await letters.pull());
    const { CloudPubSubDeadLetterSourceTopicPublishTime: time = '', ...attributes } = letter.attributes;
    expect(attributes).toEqual({
      mine: 'yes',
      CloudPubSubDeadLetterSourceDeliveryCount: '5',
      CloudPubSubDeadLetterSourceSubscription: made.id,
      CloudPubSubDeadLetterSourceSubscriptionProject: 'p',
    });
    expect(Math.abs(Date.parse(time) - before)).toBeLessThan(5_000);
    expect(letter).toMatchObject({ text: '1', attempt: 0 });
  });

  it('goes on delivering where the topic for dead letters is gone', async () => {
    const { topic: deadLetterTopic } = await fresh();
    const made = await fresh({ deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 5 } });
    await publisher.deleteTopic({ topic: deadLetterTopic });
    await made.update({ ackDeadlineSeconds: 20 }, 'ack_deadline_seconds');
    await made.publish('1');
    expect((await nackAll(made, 7)).at(-1)?.attempt).toBe(7);
  });

  it(isGoogles ? 'has all of an ordering key in flight at once' : 'has one of an ordering key in flight', async () => {
    const { publish, pull, ack, extend } = await fresh({ enableMessageOrdering: true });
    const keyed = (text: string, orderingKey = '') => ({ data: Buffer.from(text), orderingKey });
    for (const text of ['a1', 'a2', 'a3']) await publish(keyed(text, 'a'));
    await publish(keyed('b1', 'b'));
    if (isGoogles) {
      expect(textsOf(await pull(4)).filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
      return;
    }
    const first = await pull(3, QUIET_MS);
    expect(textsOf(first)).toEqual(['a1', 'b1']);
    await extend(first.slice(0, 1), 0);
    const again = await pull(2, QUIET_MS);
    expect(textsOf(again)).toEqual(['a1']);
    await ack(again);
    const second = await pull();
    expect(textsOf(second)).toEqual(['a2']);
    await ack(second);
    expect(textsOf(await pull())).toEqual(['a3']);
  });

  it(`sends ${isGoogles ? 'a stream more messages than' : 'no stream more messages than'} it may have outstanding`, async () => {
    const { subscription, publish, ack, stream } = await fresh();
    for (let i = 1; i <= 4; i++) await publish(String(i));
    const taken = stream({ subscription, streamAckDeadlineSeconds: 60, maxOutstandingMessages: 2 });
    opened.push(taken);
    if (isGoogles) {
      await until(() => taken.messages.length === 4, 10_000);
      return;
    }
    await sleep(QUIET_MS);
    expect(textsOf(taken.messages)).toEqual(['1', '2']);
    taken.send({ ackIds: [taken.messages[0]?.ackId ?? ''] });
    await until(() => taken.messages.length === 3, 5_000);
    await ack(taken.messages.slice(1, 2));
    await until(() => taken.messages.length === 4, 5_000);
  });

  it(`sends ${isGoogles ? 'a stream more bytes than' : 'no stream more bytes than'} it may have outstanding`, async () => {
    const { subscription, publish, ack, stream } = await fresh();
    for (let i = 1; i <= 4; i++) await publish('x'.repeat(600));
    const taken = stream({ subscription, streamAckDeadlineSeconds: 60, maxOutstandingBytes: 1_000 });
    opened.push(taken);
    if (isGoogles) {
      await until(() => taken.messages.length === 4, 10_000);
      return;
    }
    await sleep(QUIET_MS);
    expect(taken.messages).toHaveLength(2);
    await ack(taken.messages.slice(0, 1));
    await until(() => taken.messages.length === 3, 5_000);
  });

  it('takes acks and deadlines on a stream, and leases for as long as the stream says', async () => {
    const { subscription, publish, stream } = await fresh();
    await publish('acked', 'nacked', 'extended', 'left');
    const taken = stream({ subscription, streamAckDeadlineSeconds: 12 });
    opened.push(taken);
    await until(() => taken.messages.length === 4, 5_000);
    const idOf = (wanted: string) => taken.messages.find(({ text }) => text === wanted)?.ackId ?? '';
    taken.send({
      ackIds: [idOf('acked')],
      modifyDeadlineAckIds: [idOf('nacked'), idOf('extended')],
      modifyDeadlineSeconds: [0, 60],
    });
    await until(() => taken.messages.length === 5, 5_000);
    expect(taken.messages[4]?.text).toBe('nacked');
    await until(() => taken.messages.length === 7, 20_000);
    expect(new Set(textsOf(taken.messages.slice(5)))).toEqual(new Set(['left', 'nacked']));
    const left = taken.messages.filter(({ text }) => text === 'left');
    expect((left[1]?.atMs ?? NaN) - (left[0]?.askedMs ?? NaN)).toBeGreaterThan(12_000);
    expect(taken.properties[0]).toMatchObject({ messageOrderingEnabled: false });
  });

  it('keeps the leases of a stream that has ended until they end', async () => {
    const { subscription, publish, pull, stream } = await fresh();
    await publish('1');
    const taken = stream({ subscription, streamAckDeadlineSeconds: 10 });
    await until(() => taken.messages.length === 1, 5_000);
    taken.cancel();
    expect(only(await pull()).atMs - (taken.messages[0]?.askedMs ?? NaN)).toBeGreaterThan(LEASE_MS);
  });

  it('ends streams that ask for what cannot be, or whose subscription is gone', async () => {
    const { subscription, stream } = await fresh();
    const first = { subscription, streamAckDeadlineSeconds: 10 };
    const modifications = { modifyDeadlineAckIds: ['x'], modifyDeadlineSeconds: [] };
    const ends = await Promise.all([
      stream({ ...first, subscription: `${subscription}-x` }).ended,
      stream({ streamAckDeadlineSeconds: 10 }).ended,
      stream({ subscription }).ended,
      stream({ ...first, streamAckDeadlineSeconds: 9 }).ended,
      stream({ ...first, streamAckDeadlineSeconds: 601 }).ended,
      stream(first, first).ended,
      stream(first, { ackIds: ['nonsense'] }).ended,
      stream(first, modifications).ended,
    ]);
    expect(ends).toEqual([NOT_FOUND, ...Array<status>(7).fill(INVALID_ARGUMENT)]);
    const { ended } = stream(first);
    await subscriber.deleteSubscription({ subscription });
    expect(await ended).toBe(NOT_FOUND);
  });

  it("serves the subscriber of Google's library, also messages of 9 MB, in their order", async () => {
    const { topic, subscription } = await fresh({ enableMessageOrdering: true });
    const pubsub = createPubSub({ projectId: 'p', emulator: host });
    const messages: Message[] = [];
    const library = pubsub.subscription(subscription).on('message', (message: Message) => {
      messages.push(message);
      message.ack();
    });
    const sizes = [9_000_000, 10, 9_000_000, 20];
    const ordered = pubsub.topic(topic, { messageOrdering: true });
    for (const size of sizes) await ordered.publishMessage({ data: Buffer.alloc(size), orderingKey: 'k' });
    await until(() => messages.length >= sizes.length, 20_000);
    expect(messages.map(({ data }) => data.length)).toEqual(sizes);
    await library.close();
    await pubsub.close();
  });
});
