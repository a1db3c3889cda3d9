import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import { createJobSource } from '../../../src/adapters/pubsub/source.js';
import type { Methods, StreamingPullRequest } from '../../../src/adapters/pubsub/wire.js';
import type { Delivery, JobSource, Settlement } from '../../../src/domain/ports.js';
import { type Answers, refusal, type Stream, standInForPubSub } from '../../support/pubsub-stand-in.js';
import { until } from '../../../scripts/dev/until.js';

type Ids = Methods['Acknowledge']['request'];

const received = (text: string) => ({
  ackId: `ack of ${text}`,
  message: {
    data: Buffer.from(text),
    attributes: { text },
    messageId: `id of ${text}`,
    publishTime: { seconds: 5, nanos: 5e8 },
  },
  deliveryAttempt: 2,
});

describe('a source', () => {
  const answers: Answers = {};
  const streams: Stream[] = [];
  const asked: StreamingPullRequest[] = [];
  const settled: { ack: string[]; nack: string[] } = { ack: [], nack: [] };
  const errors: unknown[] = [];
  let refusals: status[];
  let channel: PubSubChannel;
  let source: JobSource;
  let service: Awaited<ReturnType<typeof standInForPubSub>>;

  beforeEach(async () => {
    for (const list of [streams, asked, settled.ack, settled.nack, errors]) list.length = 0;
    refusals = [];
    answers.unary = (method, request) => {
      const code = refusals.shift();
      if (code !== undefined) throw refusal(code);
      if (method === 'Acknowledge') settled.ack.push(...(request as Ids).ackIds);
      if (method === 'ModifyAckDeadline') settled.nack.push(...(request as Ids).ackIds);
      return {};
    };
    answers.stream = (stream) => {
      streams.push(stream);
      stream.on('data', (request: StreamingPullRequest) => asked.push(request));
    };
    service = await standInForPubSub(answers);
    channel = new PubSubChannel({ projectId: 'p', emulator: service.address });
    source = createJobSource(channel, 's', {
      ...{ maxMessages: 2, maxExtensionSeconds: 60, onError: (error: unknown) => errors.push(error) },
    });
  });
  afterEach(async () => {
    await source.stop(1_000);
    channel.close();
    service.close();
  });

  const answering = (settlement: Settlement) => {
    const seen: Delivery[] = [];
    source.start((delivery) => {
      seen.push(delivery);
      return Promise.resolve(settlement);
    });
    return seen;
  };
  const give = (...texts: string[]) => streams.at(-1)?.write({ receivedMessages: texts.map(received) });

  it('asks for what it can hold, and hands on what it gets', async () => {
    const seen = answering('ack');
    await until(() => asked.length === 1);
    expect(asked[0]).toMatchObject({
      subscription: 'projects/p/subscriptions/s',
      streamAckDeadlineSeconds: 10,
      maxOutstandingMessages: 2,
    });
    give('a', 'b', 'c');
    await until(() => settled.ack.length === 3);
    expect(settled.ack).toEqual(['ack of a', 'ack of b', 'ack of c']);
    expect(seen[0]).toEqual({
      ...{ messageId: 'id of a', data: Buffer.from('a'), attributes: { text: 'a' }, attempt: 2 },
      publishedAt: new Date(5_500),
    });
  });

  it('reads what the emulator sends beyond that, since a message in a buffer gets no extension and uses up its attempts', async () => {
    const seen: Delivery[] = [];
    source.start((delivery, signal) => {
      seen.push(delivery);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    });
    await until(() => asked.length === 1);
    give('a', 'b');
    give('c');
    give('d');
    await until(() => seen.length === 4, { limitMs: 5_000 });
  });

  it.each([status.UNAVAILABLE, status.INTERNAL, status.RESOURCE_EXHAUSTED, undefined])(
    'opens the stream again that the service ends with code %s',
    async (code) => {
      answering('ack');
      await until(() => asked.length === 1);
      if (code === undefined) streams[0]?.end();
      else streams[0]?.emit('error', refusal(code));
      await until(() => asked.length === 2);
      give('after');
      await until(() => settled.ack.length === 1);
      expect(asked[1]).toEqual(asked[0]);
    },
  );

  it('closes when it may not read its subscription, and asks no more', async () => {
    answering('ack');
    await until(() => asked.length === 1);
    streams[0]?.emit('error', refusal(status.PERMISSION_DENIED, 'not allowed'));
    expect((await source.closed).message).toContain('not allowed');
    expect(asked).toHaveLength(1);
  });

  it('tries new credentials before it closes for old ones', async () => {
    answering('ack');
    await until(() => asked.length === 1);
    streams[0]?.emit('error', refusal(status.UNAUTHENTICATED));
    await until(() => asked.length === 2);
    streams[1]?.emit('error', refusal(status.UNAUTHENTICATED));
    await until(() => asked.length === 3);
    streams[2]?.emit('error', refusal(status.UNAUTHENTICATED, 'not known'));
    expect((await source.closed).message).toContain('not known');
  });

  it('repeats an ack that fails for a while, and says so when one is refused', async () => {
    answering('ack');
    await until(() => asked.length === 1);
    refusals = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];
    give('a');
    await until(() => settled.ack.length === 1);
    expect(errors).toEqual([]);
    refusals = [status.PERMISSION_DENIED];
    give('b');
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it('gives back the message of a handler that fails', async () => {
    source.start(() => Promise.reject(new Error('unexpected')));
    await until(() => asked.length === 1);
    give('a');
    await until(() => settled.nack.length === 1);
    expect(settled).toEqual({ ack: [], nack: ['ack of a'] });
    expect(errors).toEqual([new Error('unexpected')]);
  });

  it('sends what has been settled before it stops, and reads nothing after', async () => {
    const handlers: ((settlement: Settlement) => void)[] = [];
    source.start(() => new Promise((resolve) => handlers.push(resolve)));
    await until(() => asked.length === 1);
    give('a');
    await until(() => handlers.length === 1);
    const stopped = source.stop(5_000);
    give('late');
    handlers[0]?.('ack');
    await stopped;
    expect(settled).toEqual({ ack: ['ack of a'], nack: [] });
    expect(handlers).toHaveLength(1);
  });

  it('does nothing when it is started after its stop', async () => {
    await source.stop(1_000);
    answering('ack');
    await channel.call('GetSubscription', { subscription: 's' }, 1_000);
    expect(asked).toEqual([]);
  });
});
