import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import { createPublisher } from '../../../src/adapters/pubsub/publisher.js';
import type { PublishRequest } from '../../../src/adapters/pubsub/wire.js';
import { NotPublishable } from '../../../src/domain/ports.js';
import { type Answers, refusal, standInForPubSub } from '../../support/pubsub-stand-in.js';

const LIMIT_MS = 2_000;

describe('a publisher', () => {
  const answers: Answers = {};
  const requests: PublishRequest[] = [];
  let channel: PubSubChannel;
  let service: Awaited<ReturnType<typeof standInForPubSub>>;

  beforeEach(async () => {
    requests.length = 0;
    refuse();
    service = await standInForPubSub(answers);
    channel = new PubSubChannel({ projectId: 'p', emulator: service.address });
  });
  afterEach(() => {
    channel.close();
    service.close();
  });

  /** @param why the service's error, if it refuses the request */
  function refuse(why: (request: PublishRequest) => Error | undefined = () => undefined): void {
    answers.unary = (_method, given) => {
      const request = given as PublishRequest;
      requests.push(request);
      const error = why(request);
      if (error) throw error;
      return { messageIds: request.messages.map(({ data }) => `id of ${data.toString()}`) };
    };
  }
  const publish = (texts: readonly string[], orderingKey?: string) => {
    const publisher = createPublisher(channel, 't', LIMIT_MS);
    return Promise.allSettled(texts.map((text) => publisher.publish(Buffer.from(text), { text }, orderingKey)));
  };
  const textsOf = ({ messages }: PublishRequest) => messages.map(({ data }) => data.toString());
  const states = (results: readonly PromiseSettledResult<void>[]) => results.map(({ status: state }) => state);

  it('sends together what is published together, with whole names', async () => {
    expect(states(await publish(['a', 'b', 'c']))).toEqual(Array(3).fill('fulfilled'));
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({
      topic: 'projects/p/topics/t',
      messages: ['a', 'b', 'c'].map((text) => ({ data: Buffer.from(text), attributes: { text }, orderingKey: '' })),
    });
  });

  it('keeps each request below the limits of the service, and a few of them on their way', async () => {
    const texts = Array.from({ length: 3_000 }, (_, i) => `${i}`);
    expect(new Set(states(await publish(texts)))).toEqual(new Set(['fulfilled']));
    expect(requests.map(({ messages }) => messages.length)).toEqual([500, 500, 500, 500, 500, 500]);
    expect(new Set(requests.flatMap(textsOf))).toEqual(new Set(texts));
    requests.length = 0;
    await publish([1, 2, 3].map((one) => String(one).repeat(1_000_000)));
    expect(requests.map(({ messages }) => messages.length).sort()).toEqual([1, 2]); // in any order
  });

  it('refuses only the invalid message of several', async () => {
    refuse((request) => (textsOf(request).includes('wrong') ? refusal(status.INVALID_ARGUMENT) : undefined));
    const results = await publish(['good', 'wrong', 'fine']);
    expect(states(results)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: expect.any(NotPublishable) as unknown });
  });

  it('repeats a request that fails for a while, and gives up at its limit', async () => {
    let failures = 0;
    refuse(() => (++failures < 4 ? refusal(status.UNAVAILABLE) : undefined));
    expect(states(await publish(['a']))).toEqual(['fulfilled']);
    refuse(() => refusal(status.UNAVAILABLE));
    const begun = performance.now();
    expect(await publish(['b'])).toMatchObject([{ reason: { code: status.UNAVAILABLE } }]);
    expect(performance.now() - begun).toBeLessThan(LIMIT_MS + 200);
  });

  it.each([status.PERMISSION_DENIED, status.NOT_FOUND, status.FAILED_PRECONDITION])(
    'does not repeat a request that is refused with code %i',
    async (code) => {
      refuse(() => refusal(code));
      expect(await publish(['a'])).toMatchObject([{ reason: { code } }]);
      expect(requests).toHaveLength(1);
    },
  );

  it('publishes the messages of one ordering key one after the other', async () => {
    expect(states(await publish(['a', 'b', 'c'], 'key'))).toEqual(Array(3).fill('fulfilled'));
    expect(requests.map(textsOf)).toEqual([['a'], ['b'], ['c']]);
    expect(requests[0]?.messages[0]?.orderingKey).toBe('key');
  });

  it('goes on with an ordering key after a failure', async () => {
    refuse((request) => (textsOf(request).includes('b') ? refusal(status.PERMISSION_DENIED) : undefined));
    expect(states(await publish(['a', 'b', 'c'], 'key'))).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });
});
