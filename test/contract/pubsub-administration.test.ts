/**
 * Topics and subscriptions by Google's client, on Google's emulator and on the embedded Pub/Sub. Tables show where the two
 * differ: the embedded one follows the service's documentation, and Google's column is what its emulator (0.8.20) was seen to do.
 */
import { status } from '@grpc/grpc-js';
import { afterAll, describe, expect, it } from 'vitest';
import { codeOf, connect, type NewMessage, type Settings, textsOf } from '../support/pubsub-clients.js';
import { PUBSUBS } from '../support/pubsubs.js';

const { OK, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, OUT_OF_RANGE, UNIMPLEMENTED } = status;
const DAY = 86_400;
const data = Buffer.from('x');
const attributes = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));

type Row<T> = readonly [what: string, given: T, google: status, embedded: status];

const SETTINGS: readonly Row<(topic: string) => Settings>[] = [
  ['an ack deadline of 9 s', () => ({ ackDeadlineSeconds: 9 }), OK, INVALID_ARGUMENT],
  ['an ack deadline of 601 s', () => ({ ackDeadlineSeconds: 601 }), INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['599 s of retention', () => ({ messageRetentionDuration: { seconds: 599 } }), INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['31 days of retention', () => ({ messageRetentionDuration: { seconds: 31 * DAY } }), INVALID_ARGUMENT, OK],
  [
    '32 days of retention',
    () => ({ messageRetentionDuration: { seconds: 32 * DAY } }),
    INVALID_ARGUMENT,
    INVALID_ARGUMENT,
  ],
  ['expiration after an hour', () => ({ expirationPolicy: { ttl: { seconds: 3600 } } }), OK, INVALID_ARGUMENT],
  ['no expiration', () => ({ expirationPolicy: {} }), OK, OK],
  [
    'a backoff of 601 s',
    () => ({ retryPolicy: { minimumBackoff: { seconds: 601 } } }),
    INVALID_ARGUMENT,
    INVALID_ARGUMENT,
  ],
  [
    'a backoff from 20 s to 10 s',
    () => ({ retryPolicy: { minimumBackoff: { seconds: 20 }, maximumBackoff: { seconds: 10 } } }),
    ...([INVALID_ARGUMENT, INVALID_ARGUMENT] as const),
  ],
  [
    'dead letters after 4 attempts',
    (topic) => ({ deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 4 } }),
    ...([OUT_OF_RANGE, INVALID_ARGUMENT] as const),
  ],
  [
    'dead letters after 101 attempts',
    (topic) => ({ deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 101 } }),
    ...([OUT_OF_RANGE, INVALID_ARGUMENT] as const),
  ],
  [
    'dead letters to no topic that exists',
    (topic) => ({ deadLetterPolicy: { deadLetterTopic: `${topic}-missing` } }),
    ...([NOT_FOUND, NOT_FOUND] as const),
  ],
  ['a filter', () => ({ filter: 'attributes:a' }), OK, OK],
  ['a filter that is none', () => ({ filter: 'nonsense' }), OK, INVALID_ARGUMENT],
  ['delivery exactly once', () => ({ enableExactlyOnceDelivery: true }), OK, UNIMPLEMENTED],
  // Google's emulator pushes, but only keeps what the service would write: completions-elsewhere.test.ts.
  ['a webhook', () => ({ pushConfig: { pushEndpoint: 'http://127.0.0.1:1/' } }), OK, UNIMPLEMENTED],
  ['a webhook by ftp', () => ({ pushConfig: { pushEndpoint: 'ftp://127.0.0.1/' } }), INVALID_ARGUMENT, UNIMPLEMENTED],
  ['a table of BigQuery', () => ({ bigqueryConfig: { table: 'p.d.t' } }), OK, UNIMPLEMENTED],
  ['files in Cloud Storage', () => ({ cloudStorageConfig: { bucket: 'b' } }), OK, UNIMPLEMENTED],
];

const MESSAGES: readonly Row<readonly NewMessage[]>[] = [
  ['no message', [], INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['an empty message', [{}], INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['an attribute alone', [{ attributes: { a: 'b' } }], OK, OK],
  ['1000 messages', Array<NewMessage>(1000).fill({ data }), OK, OK],
  ['1001 messages', Array<NewMessage>(1001).fill({ data }), INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['10 MB', [{ data: Buffer.alloc(10_000_000) }], OK, OK],
  ['a byte more', [{ data: Buffer.alloc(10_000_001) }], OK, INVALID_ARGUMENT],
  ['100 attributes', [{ data, attributes: attributes(100) }], OK, OK],
  ['101 attributes', [{ data, attributes: attributes(101) }], OK, INVALID_ARGUMENT],
  ['a key of 257 bytes', [{ data, attributes: { ['k'.repeat(257)]: 'v' } }], OK, INVALID_ARGUMENT],
  ['a value of 1025 bytes', [{ data, attributes: { k: 'v'.repeat(1025) } }], OK, INVALID_ARGUMENT],
  ['an empty key', [{ data, attributes: { '': 'v' } }], OK, INVALID_ARGUMENT],
  ['a reserved key', [{ data, attributes: { google: 'v' } }], OK, INVALID_ARGUMENT],
  ['an ordering key of 1025 bytes', [{ data, orderingKey: 'k'.repeat(1025) }], OK, INVALID_ARGUMENT],
];

const CHANGES: readonly Row<readonly [Settings, ...string[]]>[] = [
  ['nothing', [{ ackDeadlineSeconds: 30 }], INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['a field that does not exist', [{}, 'nonsense'], INVALID_ARGUMENT, INVALID_ARGUMENT],
  [
    'a field by its name in JSON',
    [{ ackDeadlineSeconds: 30 }, 'ackDeadlineSeconds'],
    INVALID_ARGUMENT,
    INVALID_ARGUMENT,
  ],
  ['the filter', [{ filter: 'attributes:a' }, 'filter'], INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['the topic', [{ topic: 'projects/p/topics/other' }, 'topic'], INVALID_ARGUMENT, INVALID_ARGUMENT],
  ['what is out of range', [{ ackDeadlineSeconds: 3 }, 'ack_deadline_seconds'], OK, INVALID_ARGUMENT],
  ['the labels', [{ labels: { a: 'b' } }, 'labels'], INVALID_ARGUMENT, OK],
  [
    'a part of a policy',
    [{ retryPolicy: { minimumBackoff: { seconds: 4 } } }, 'retry_policy.minimum_backoff'],
    ...([INVALID_ARGUMENT, OK] as const),
  ],
];

/** What each row answers, by its name, and what was expected of it. */
async function answersOf<T>(rows: readonly Row<T>[], isGoogles: boolean, call: (given: T) => Promise<unknown>) {
  const answers: Record<string, number> = {};
  // One by one, for the client joins what is published to a topic at the same time.
  for (const [what, given] of rows) answers[what] = await codeOf(call(given));
  const expected = rows.map(([what, , google, embedded]) => [what, isGoogles ? google : embedded] as const);
  return { answers, expected: Object.fromEntries(expected) };
}

describe.concurrent.each(PUBSUBS)('administration on $name', ({ host, isGoogles }) => {
  const { publisher, subscriber, fresh, close } = connect(host);
  afterAll(close);

  it('creates, lists and deletes', async () => {
    const { topic, subscription } = await fresh();
    expect((await publisher.getTopic({ topic }))[0].name).toBe(topic);
    expect((await publisher.listTopics({ project: 'projects/p' }))[0].map(({ name }) => name)).toContain(topic);
    expect((await publisher.listTopicSubscriptions({ topic }))[0]).toEqual([subscription]);
    const [subscriptions] = await subscriber.listSubscriptions({ project: 'projects/p' });
    expect(subscriptions.map(({ name }) => name)).toContain(subscription);
    await subscriber.deleteSubscription({ subscription });
    await publisher.deleteTopic({ topic });
    expect(await codeOf(publisher.getTopic({ topic }))).toBe(NOT_FOUND);
    expect(await codeOf(subscriber.getSubscription({ subscription }))).toBe(NOT_FOUND);
  });

  it('lists in pages', async () => {
    const { topic, id } = await fresh();
    for (const n of [1, 2, 3])
      await subscriber.createSubscription({ name: `projects/p/subscriptions/${id}-${n}`, topic });
    const by = { autoPaginate: false };
    const [first, , { nextPageToken }] = await publisher.listTopicSubscriptions({ topic, pageSize: 3 }, by);
    const pageToken = (nextPageToken as string | null) ?? '';
    const [second, , last] = await publisher.listTopicSubscriptions({ topic, pageSize: 3, pageToken }, by);
    expect([first.length, second.length, new Set([...first, ...second]).size]).toEqual([3, 1, 4]);
    expect(last.nextPageToken).toBe('');
  });

  it('knows what is missing, what is there already, and what cannot be a name', async () => {
    const { topic, subscription } = await fresh();
    const missing = { topic: `${topic}-x`, subscription: `${subscription}-x` };
    const codes = await Promise.all(
      [
        publisher.createTopic({ name: topic }),
        subscriber.createSubscription({ name: subscription, topic }),
        publisher.createTopic({ name: 'projects/p/topics/1a' }),
        publisher.createTopic({ name: 'projects/p/topics/google' }),
        subscriber.createSubscription({ name: 'projects/p/subscriptions/ab', topic }),
        publisher.getTopic(missing),
        publisher.deleteTopic(missing),
        publisher.publish({ ...missing, messages: [{ data }] }),
        subscriber.createSubscription({ name: missing.subscription, topic: missing.topic }),
        subscriber.getSubscription(missing),
        subscriber.deleteSubscription(missing),
        subscriber.pull({ ...missing, maxMessages: 1 }),
        subscriber.acknowledge({ ...missing, ackIds: ['x'] }),
      ].map(codeOf),
    );
    expect(codes).toEqual([
      ...[ALREADY_EXISTS, ALREADY_EXISTS, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT],
      ...Array<status>(8).fill(NOT_FOUND),
    ]);
  });

  it(`fills in the defaults${isGoogles ? ', but not that of the expiration' : ''}`, async () => {
    const { topic, subscription } = await fresh({ retryPolicy: {} });
    const [settings] = await subscriber.getSubscription({ subscription });
    expect(settings).toMatchObject({
      ...{ topic, ackDeadlineSeconds: 10, messageRetentionDuration: { seconds: String(7 * DAY) }, filter: '' },
      ...{ retryPolicy: { minimumBackoff: { seconds: '10' }, maximumBackoff: { seconds: '600' } } },
      ...{ deadLetterPolicy: null, enableMessageOrdering: false },
      expirationPolicy: isGoogles ? null : { ttl: { seconds: String(31 * DAY) } },
    });
  });

  it('takes or refuses settings as the table says', async () => {
    const { topic, subscription } = await fresh();
    let count = 0;
    const { answers, expected } = await answersOf(SETTINGS, isGoogles, (settingsFor) =>
      subscriber.createSubscription({ name: `${subscription}-${++count}`, topic, ...settingsFor(topic) }),
    );
    expect(answers).toEqual(expected);
  });

  it('changes what the mask names, and nothing else', async () => {
    const { topic, update } = await fresh({ filter: 'attributes:a' });
    const deadLetterPolicy = { deadLetterTopic: topic, maxDeliveryAttempts: 6 };
    await update({ deadLetterPolicy, ackDeadlineSeconds: 40 }, 'dead_letter_policy');
    const retryPolicy = { minimumBackoff: { seconds: 3 } };
    expect(await update({ retryPolicy, ackDeadlineSeconds: 30 }, 'retry_policy', 'ack_deadline_seconds')).toMatchObject(
      {
        ...{ ackDeadlineSeconds: 30, filter: 'attributes:a', deadLetterPolicy },
        retryPolicy: { minimumBackoff: { seconds: '3' }, maximumBackoff: { seconds: '600' } },
      },
    );
    expect(await update({}, 'dead_letter_policy')).toMatchObject({ deadLetterPolicy: null, ackDeadlineSeconds: 30 });
  });

  it('changes or refuses to change as the table says', async () => {
    const { update } = await fresh();
    const { answers, expected } = await answersOf(CHANGES, isGoogles, ([wanted, ...paths]) => update(wanted, ...paths));
    expect(answers).toEqual(expected);
  });

  it('publishes or refuses as the table says', async () => {
    const { topic } = await fresh();
    const { answers, expected } = await answersOf(MESSAGES, isGoogles, (messages) =>
      publisher.publish({ topic, messages: [...messages] }),
    );
    expect(answers).toEqual(expected);
  });

  it('keeps the messages of a deleted topic, whose name is free for another one', async () => {
    const { topic, subscription, publish, pull } = await fresh();
    await publish('before');
    await publisher.deleteTopic({ topic });
    expect((await subscriber.getSubscription({ subscription }))[0].topic).toBe('_deleted-topic_');
    await publisher.createTopic({ name: topic });
    await publish('after');
    expect(textsOf(await pull(2, 1_000))).toEqual(['before']);
    expect((await publisher.listTopicSubscriptions({ topic }))[0]).toEqual([]);
  });

  it(isGoogles ? 'delivers what the filter keeps out' : 'delivers only what the filter lets pass', async () => {
    const { publish, pull } = await fresh({ filter: 'attributes.model = "upscale" AND NOT attributes:late' });
    await publish('plain', { data: Buffer.from('passes'), attributes: { model: 'upscale' } });
    expect(textsOf(await pull(2, isGoogles ? 10_000 : 1_000))).toEqual(isGoogles ? ['plain', 'passes'] : ['passes']);
  });
});
